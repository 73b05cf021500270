"""Sources, local or from a Hub, are hashed before anything reads them."""

import hashlib
import json
import subprocess
import sys

import pytest
from hub_server import TOKEN

from voxbuild.errors import SourceError
from voxbuild.files import read_json
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched, FetchedFile, Proofs, fetch

CONTENT = {
    "consolidated.safetensors": b"w" * 5000,
    "params.json": b'{"dim": 1}',
    "tekken.json": b"{}",
}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def source_of(**changes):
    """A local source that pins all its files; `changes` replace keys."""
    files = [{"name": n, "size": len(data), "sha256": sha256(data)} for n, data in CONTENT.items()]
    facts = {"name": "here", "model": "Here", "summary": "", "path": "model", "files": files}
    facts |= {"license": "mit", "languages": ["en"]}
    kept = {key: value for key, value in (facts | changes).items() if value is not None}
    return Source.model_validate_json(json.dumps(kept))


@pytest.fixture
def base(tmp_path):
    (tmp_path / "model").mkdir()
    for name, data in CONTENT.items():
        (tmp_path / "model" / name).write_bytes(data)
    return tmp_path


def test_a_local_source_is_used_in_place(base):
    done = []
    fetched = fetch(source_of(), base, done.append)
    assert fetched.folder == base / "model"
    assert fetched.identity() == {
        name: {"size": len(data), "sha256": sha256(data)} for name, data in CONTENT.items()
    }
    small = [data for name, data in CONTENT.items() if name != "consolidated.safetensors"]
    assert sum(done) == sum(map(len, small)), "the weights are read when they are converted"


def test_file_stamps_are_stored_and_changes_are_detected(base):
    fetched = fetch(source_of(), base, lambda done: None)
    fetched.save(base / "source.json")
    again = Fetched.load(base / "source.json")
    assert again == fetched
    assert again.touched() == []
    (base / "model/params.json").write_bytes(b'{"dim": 2}')
    assert again.touched() == ["params.json"]
    (base / "model/params.json").unlink()
    assert again.touched() == ["params.json"]


def refused(base, **changes):
    with pytest.raises(SourceError) as caught:
        fetch(source_of(**changes), base, lambda done: None)
    return str(caught.value)


def test_a_file_of_another_size_is_reported(base):
    path = base / "model/consolidated.safetensors"
    path.write_bytes(CONTENT[path.name][:-1])
    said = refused(base)
    assert said.startswith(f"{path}: 4,999 bytes instead of 5,000: damaged, truncated, or not the file")
    assert said.endswith("delete it and fetch again")


def test_a_flipped_bit_is_reported_with_both_hashes(base):
    path = base / "model/tekken.json"
    path.write_bytes(b"{]")
    said = refused(base)
    assert said.startswith(
        f"{path}: sha256 {sha256(b'{]')} instead of {sha256(b'{}')}: damaged, truncated, or"
    )
    assert said.endswith("delete it and fetch again")


def test_a_missing_file_and_a_missing_folder_are_reported(base):
    (base / "model/params.json").unlink()
    said = refused(base)
    assert said.startswith(f"{base / 'model/params.json'}: the file is missing, though the source here lists")
    assert "elsewhere: there is no such folder, in which the source here is" in refused(
        base, path="elsewhere"
    )


FETCH = """
import sys
from pathlib import Path
from voxbuild.errors import SourceError
from voxbuild.sources.fetch import fetch
from voxbuild.recipes.source import Source

source = Source.model_validate_json(sys.argv[1])
try:
    fetch(source, Path("nowhere"), lambda done: None).save(Path(sys.argv[2]))
except SourceError as error:
    print(error)
    sys.exit(3)
"""


@pytest.fixture
def fetch_from_hub(hub_environment, tmp_path):
    """Fetch a source in a process that knows the Hub on loopback; the process and what it stored."""

    def run(source, **environment):
        process = subprocess.run(
            [sys.executable, "-c", FETCH, source.model_dump_json(), str(tmp_path / "source.json")],
            env=hub_environment | environment,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in process.stderr, process.stderr
        return process, tmp_path / "source.json"

    return run


def hub_source(revision, **changes):
    return source_of(path=None, hub={"repo": "maker/model", "revision": revision}, **changes)


def test_a_hub_source_is_downloaded_at_its_pinned_revision(hub, fetch_from_hub):
    pinned = hub.add("models", "maker/model", CONTENT | {"huge.bin": b"not asked for" * 1000})
    hub.add("models", "maker/model", CONTENT | {"params.json": b'{"dim": 2}'})
    process, stored = fetch_from_hub(hub_source(pinned))
    assert process.returncode == 0, process.stdout
    fetched = Fetched.load(stored)
    assert {name: (fetched.folder / name).read_bytes() for name in fetched.files} == CONTENT
    assert not [call for call in hub.calls if "huge.bin" in call]


def test_a_download_with_another_hash_is_reported(hub, fetch_from_hub):
    other = CONTENT | {"tekken.json": b"[]"}
    process, stored = fetch_from_hub(hub_source(hub.add("models", "maker/model", other)))
    assert process.returncode == 3
    assert f"sha256 {sha256(b'[]')} instead of {sha256(b'{}')}" in process.stdout
    assert not stored.exists()


def test_a_file_missing_from_the_hub_is_reported(hub, fetch_from_hub):
    some = {"params.json": b"{}"}
    process, _ = fetch_from_hub(hub_source(hub.add("models", "maker/model", some)))
    assert process.returncode == 3
    assert "consolidated.safetensors: the file is missing, though the source here lists it" in process.stdout


@pytest.mark.parametrize("status", [401, 404])
def test_a_missing_repository_is_reported(fetch_from_hub, hub, status):
    if status != 404:
        hub.fail("maker/model", status)
    process, _ = fetch_from_hub(hub_source("0" * 40))
    assert process.returncode == 3
    assert process.stdout.startswith("maker/model")


def test_without_a_network_the_message_names_the_alternatives(fetch_from_hub):
    process, _ = fetch_from_hub(hub_source("0" * 40), HF_HUB_OFFLINE="1")
    assert process.returncode == 3
    assert process.stdout.strip().endswith("or build from the embedded model with source=tiny")


@pytest.mark.slow
def test_a_download_is_used_again_without_the_network(hub, fetch_from_hub):
    source = hub_source(hub.add("models", "maker/model", CONTENT))
    _, stored = fetch_from_hub(source)
    first = read_json(stored)
    process, stored = fetch_from_hub(source, HF_HUB_OFFLINE="1")
    assert process.returncode == 0
    assert read_json(stored) == first


def test_a_streamed_file_needs_a_hash_that_is_known_before(hub, monkeypatch, tmp_path):
    from publishers import connect, disconnect

    connect(monkeypatch, hub.url, TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    small = {**CONTENT, "consolidated.safetensors": b"w" * 900}  # not stored by LFS
    commit = hub.add("models", "someone/small", small)
    place = {"path": None, "hub": {"repo": "someone/small", "revision": commit}}
    names = [{"name": name} for name in small]
    with pytest.raises(SourceError, match=r"its sha256 is not known before it is read.*fetch=disk"):
        fetch(source_of(**place, files=names), tmp_path, lambda done: None, stream=True)
    names[0]["sha256"] = sha256(small["consolidated.safetensors"])
    fetched = fetch(source_of(**place, files=names), tmp_path, lambda done: None, stream=True)
    assert fetched.streamed == ["consolidated.safetensors"]
    assert (fetched.folder / "params.json").is_relative_to(tmp_path / "cache")
    assert not (fetched.folder / "consolidated.safetensors").exists()
    fetched.save(tmp_path / "source.json")
    assert Fetched.load(tmp_path / "source.json") == fetched
    assert fetched.touched() == []
    disconnect()


def test_a_streamed_file_out_of_order_is_refused_with_advice(tmp_path):
    """Its hash needs the bytes in the file's order, and the artifact its tensors in that of their names."""
    name = "consolidated.safetensors"
    fetched = Fetched(tmp_path, {name: FetchedFile(5, sha256(b""), None, hashed=False)})
    with pytest.raises(SourceError) as caught:
        Proofs(tmp_path / "proofs.json", fetched, "voice").complete([name], lambda done: None)
    assert str(caught.value) == (
        f"{name} of voice: its tensors are not in the order of their names, so it cannot be streamed;"
        " download it: fetch=disk"
    )

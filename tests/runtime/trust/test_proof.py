"""--verify: nothing is loaded unless all files are what manifest, provenance and signature say."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import CLIPS
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_models import FILES, flip, write_artifact, write_manifest, write_provenance

from voxrun import transcriber
from voxrun.errors import TrustError, VoxrunError
from voxrun.files import paths
from voxrun.files.paths import TOOLS
from voxrun.transcriber import Transcriber
from voxrun.trust.manifest import digest_of
from voxrun.trust.proof import check

ALL_FILES = [*FILES, "provenance.json", "manifest.json", "model.sig"]
FIRST = CLIPS / "prompts" / "please-try-again.flac"


def test_an_artifact_as_it_was_made_is_proven(signed: Path, public: Path) -> None:
    proof = check(signed, public)
    assert (proof.digest, proof.files, proof.signed) == (digest_of(signed), len(FILES) + 1, True)
    assert str(proof).endswith(f"; signed with the private key of {public}")


def test_the_result_tells_unsigned_from_unchecked_signatures(signed: Path) -> None:
    assert "the key was not checked: give --verify=KEY" in str(check(signed))
    (signed / "model.sig").unlink()
    proof = check(signed)
    assert not proof.signed
    assert str(proof).endswith("; not signed")


def test_with_a_key_an_unsigned_artifact_is_refused(unsigned: Path, public: Path) -> None:
    with pytest.raises(TrustError, match="not signed, so it cannot be verified"):
        check(unsigned, public)


TAMPERING: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: flip(data, 0),
    "early byte": lambda data: flip(data, 0.23),
    "middle byte": lambda data: flip(data, 0.5),
    "late byte": lambda data: flip(data, 0.81),
    "last byte": lambda data: flip(data, 1),
    "cut short": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\n",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("how", TAMPERING)
@pytest.mark.parametrize("name", ALL_FILES)
def test_every_change_of_a_file_is_noticed(name: str, how: str, signed: Path, public: Path) -> None:
    data = (signed / name).read_bytes()
    (signed / name).write_bytes(TAMPERING[how](data))
    if (name, how) == ("model.sig", "longer"):
        assert check(signed, public)  # white space behind JSON says nothing
        return
    with pytest.raises(VoxrunError):
        check(signed, public)


@pytest.mark.parametrize("how", TAMPERING)
@pytest.mark.parametrize("name", [*FILES, "provenance.json"])
def test_without_a_signature_all_files_but_the_manifest_are_verified(
    name: str, how: str, unsigned: Path
) -> None:
    (unsigned / name).write_bytes(TAMPERING[how]((unsigned / name).read_bytes()))
    with pytest.raises(TrustError, match=name.replace(".", r"\.")):
        check(unsigned)


@pytest.mark.slow
@settings(max_examples=400)
@given(name=st.sampled_from(ALL_FILES), position=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    name: str, position: float, bit: int, original: Path, public: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flipped"
    shutil.copytree(original, folder, dirs_exist_ok=True)
    data = bytearray((original / name).read_bytes())
    data[min(int(len(data) * position), len(data) - 1)] ^= 1 << bit
    (folder / name).write_bytes(data)
    with pytest.raises(VoxrunError):
        check(folder, public)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_missing_file_is_named(name: str, signed: Path, public: Path) -> None:
    (signed / name).unlink()
    with pytest.raises(VoxrunError, match=r"missing|not signed|no manifest"):
        check(signed, public)


def test_two_files_in_each_others_place_are_noticed(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", {"one.safetensors": b"one", "two.safetensors": b"two"})
    (folder / "one.safetensors").write_bytes(b"two")
    (folder / "two.safetensors").write_bytes(b"one")
    with pytest.raises(TrustError, match=r"one\.safetensors: sha256 .* instead of"):
        check(folder)


@pytest.mark.parametrize(
    "name",
    ["model-2.safetensors", "notes.txt", ".hidden", "deep/er/file", ".eval_results/more.yaml", "tekken.json"],
)
def test_a_file_that_is_not_in_the_manifest_is_refused(name: str, signed: Path) -> None:
    (signed / name).parent.mkdir(parents=True, exist_ok=True)
    (signed / name).write_bytes(b"more")
    with pytest.raises(TrustError, match=rf"{name}: not in the manifest; remove it"):
        check(signed)


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_files_of_the_hubs_tools_do_not_belong_to_the_artifact(name: str, signed: Path, public: Path) -> None:
    if "." in name[1:] or name in (".gitattributes", ".DS_Store"):
        (signed / name).write_bytes(b"theirs")
    else:
        (signed / name).mkdir()
        (signed / name / "inside").write_bytes(b"theirs")
    check(signed, public)
    (signed / "deep" / name).mkdir(parents=True)
    (signed / "deep" / name / "inside").write_bytes(b"smuggled")
    with pytest.raises(TrustError, match="not in the manifest"):
        check(signed, public)


def test_links_may_lead_nowhere_else(signed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes((signed / "config.json").read_bytes())
    (signed / "config.json").unlink()
    (signed / "config.json").symlink_to(elsewhere)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(signed)
    (signed / "config.json").unlink()
    (signed / "config.json").symlink_to("config.json")
    with pytest.raises(TrustError, match=r"config\.json: missing"):
        check(signed)


@pytest.mark.parametrize("name", ["manifest.json", "model.sig"])
def test_neither_manifest_nor_signature_may_be_elsewhere(name: str, signed: Path, tmp_path: Path) -> None:
    shutil.move(signed / name, tmp_path / name)
    (signed / name).symlink_to(tmp_path / name)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(signed)


def test_a_folder_behind_a_link_is_not_looked_into(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (signed / "more").symlink_to(tmp_path / "more")
    with pytest.raises(TrustError, match="more: not in the manifest"):
        check(signed)


def test_what_is_not_a_file_is_refused_without_blocking(signed: Path) -> None:
    (signed / "config.json").unlink()
    os.mkfifo(signed / "config.json")
    with pytest.raises(TrustError, match=r"config\.json: no file"):
        check(signed)


def in_a_cache(artifact: Path, cache: Path) -> Path:
    """As the Hub's client stores a repository: links to blobs."""
    repository = cache / "models--team--voice"
    snapshot = repository / "snapshots" / ("1" * 40)
    (repository / "blobs").mkdir(parents=True)
    for path in artifact.rglob("*"):
        if path.is_file():
            link = snapshot / path.relative_to(artifact)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            blob.write_bytes(path.read_bytes())
            link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_the_hubs_cache_holds_links_to_its_own_blobs_only(
    original: Path, tmp_path: Path, public: Path
) -> None:
    snapshot = in_a_cache(original, tmp_path / "cache")
    check(snapshot, public)
    outside = tmp_path / "cache" / "config.json"
    outside.write_bytes((original / "config.json").read_bytes())
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(outside)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(snapshot, public)


def test_a_signature_of_another_manifest_is_refused_with_or_without_a_key(signed: Path) -> None:
    (signed / "README.md").write_bytes(b"another card")
    write_provenance(signed)
    write_manifest(signed)
    with pytest.raises(TrustError, match=r"README\.md was another when it was signed"):
        check(signed)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: s["subject"].pop(), "is none of its subjects"),
        (lambda s: s["subject"].append(s["subject"][0]), "is there twice"),
        (
            lambda s: s["subject"].append({"name": "b", "digest": {"sha256": "0" * 64}}),
            "b is not in the manifest",
        ),
        (
            lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
            "has another hash than in the manifest",
        ),
        (lambda s: s["subject"][0]["digest"].update(sha256=None), "or without a sha256"),
        (lambda s: s["subject"][0]["digest"].update(md5="0"), "were expected"),
        (lambda s: s.update(subject={}), "its subject is no list"),
        (lambda s: s.update(predicateType="other"), "no SLSA provenance v1"),
        (lambda s: s.update(_type="other"), "no SLSA provenance v1"),
        (lambda s: s.update(more=1), "were expected"),
    ],
)
def test_provenance_of_other_files_is_refused(
    change: Callable[[dict[str, Any]], object], complaint: str, unsigned: Path
) -> None:
    statement = json.loads((unsigned / "provenance.json").read_text())
    change(statement)
    (unsigned / "provenance.json").write_text(json.dumps(statement))
    write_manifest(unsigned)
    with pytest.raises(TrustError, match=complaint):
        check(unsigned)


def test_an_artifact_without_provenance_is_refused(unsigned: Path) -> None:
    (unsigned / "provenance.json").unlink()
    write_manifest(unsigned)
    with pytest.raises(TrustError, match=r"no provenance\.json"):
        check(unsigned)


@pytest.mark.parametrize("name", ["manifest.json", "model.sig", "provenance.json"])
def test_an_oversized_file_is_not_read(name: str, signed: Path) -> None:
    with (signed / name).open("ab") as file:
        file.truncate(2 * paths.MAX_BYTES)  # it takes no room
    with pytest.raises(TrustError, match=rf"{name}: (larger than|[\d,]+ bytes instead)"):
        check(signed)


def test_hashing_needs_little_memory(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "large", {"model.safetensors": bytes(64 * 2**20)})
    tracemalloc.start()
    try:
        check(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


def test_nothing_is_loaded_before_it_is_verified(unsigned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "load_model", lambda folder: pytest.fail("it was loaded"))
    monkeypatch.setattr(transcriber, "Tokenizer", lambda folder: pytest.fail("it was loaded"))
    (unsigned / "model.safetensors").write_bytes(TAMPERING["middle byte"](FILES["model.safetensors"]))
    with pytest.raises(TrustError, match=r"model\.safetensors: sha256"):
        Transcriber.open(unsigned, verify=True)


def test_the_library_that_checks_signatures_may_be_missing(signed: Path, public: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path\n"
        "from voxrun.trust.proof import check\n"
        "print(check(Path(sys.argv[1])))\n"
        "try: check(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", program, str(signed), str(public)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "was not checked" in lines[0]
    assert lines[1] == "TrustError a signature is checked with `cryptography`: pip install cryptography"

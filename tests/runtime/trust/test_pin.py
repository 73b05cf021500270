"""voxrun.lock: what it pins is loaded, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT, CLIPS
from hub_server import HubServer, serving
from signed_models import write_artifact

from voxrun.cli.main import main
from voxrun.cli.run import write_lock
from voxrun.errors import ModelError, OutputError, TrustError
from voxrun.trust.manifest import digest_of
from voxrun.trust.open import trusted
from voxrun.trust.pin import Pin

FIRST = CLIPS / "prompts" / "please-try-again.flac"
NAME = "team/voice"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as an artifact."""
    files = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}
    return write_artifact(tmp_path_factory.mktemp("voice") / "voice", files)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "small")


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """An artifact in a registry."""
    return write_artifact(tmp_path / "registry" / "models--team--voice" / "snapshots" / COMMIT)


def test_a_folder_is_pinned_by_its_name_and_manifest(small: Path) -> None:
    assert Pin.of(small) == Pin("small", None, digest_of(small))


def test_a_repository_is_pinned_by_its_commit(snapshot: Path) -> None:
    assert Pin.of(snapshot) == Pin(NAME, COMMIT, digest_of(snapshot))


def test_without_a_manifest_there_is_nothing_to_pin(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no manifest\.json"):
        Pin.of(tmp_path)


def test_a_lock_is_read_as_it_was_written(snapshot: Path, small: Path, tmp_path: Path) -> None:
    lock = tmp_path / "voxrun.lock"
    for folder in (snapshot, small):
        write_lock(Pin.of(folder), lock)
        assert Pin.read(lock) == Pin.of(folder)
        first = lock.read_bytes()
        write_lock(Pin.of(folder), lock)
        assert lock.read_bytes() == first
    assert json.loads(first) == {
        "format": 1,
        "manifest": digest_of(small),
        "model": "small",
        "revision": None,
    }


def test_a_lock_that_cannot_be_written_is_reported(small: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_lock(Pin.of(small), tmp_path / "no/such/folder/voxrun.lock")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"more": 1}, "were expected, not"),
        ({"manifest": None}, "manifest None cannot be"),
        ({"manifest": "0" * 63}, r"manifest '0+\.\.\.0+' cannot be"),
        ({"manifest": "G" * 64}, r"manifest 'G+\.\.\.G+' cannot be"),
        ({"revision": "main"}, "revision 'main' cannot be"),
        ({"revision": 1}, "revision 1 cannot be"),
        ({"revision": ""}, "revision '' cannot be"),
        ({"model": ""}, "model '' cannot be"),
        ({"model": ["a"]}, r"model \['a'\] cannot be"),
        ({"format": 2}, "a lock of format 2, where 1 is known"),
        ({"format": True}, "a lock of format True"),
        ({"format": "1"}, "a lock of format '1'"),
    ],
)
def test_a_lock_of_another_form_is_refused(
    change: dict[str, Any], complaint: str, snapshot: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "voxrun.lock"
    write_lock(Pin.of(snapshot), lock)
    lock.write_text(json.dumps(json.loads(lock.read_text()) | change))
    with pytest.raises(TrustError, match=complaint):
        Pin.read(lock)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no readable JSON"),
        ("[]", "a JSON object was expected"),
        ("{}", "were expected, not"),
        ('{"format": 1, "format": 1}', "is there twice"),
        (None, "the lock cannot be read"),
    ],
)
def test_an_invalid_lock_is_reported(text: str | None, complaint: str, tmp_path: Path) -> None:
    lock = tmp_path / "voxrun.lock"
    if text is not None:
        lock.write_text(text)
    with pytest.raises(TrustError, match=f"voxrun.lock: .*{complaint}"):
        Pin.read(lock)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("model", "team/other", "model team/voice instead of team/other"),
        ("revision", "f" * 40, f"revision {COMMIT} instead of {'f' * 40}"),
        ("revision", None, f"revision {COMMIT} instead of none"),
        ("manifest", "0" * 64, f"instead of {'0' * 64}"),
    ],
)
def test_anything_else_is_refused_with_what_differs(
    field: str, value: str | None, complaint: str, snapshot: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "voxrun.lock"
    write_lock(Pin.of(snapshot), lock)
    assert trusted(snapshot, lock=lock) == snapshot
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {field: value}))
    with pytest.raises(
        TrustError, match=f"not what .*voxrun.lock pins: {field} .*{complaint[-20:]};"
    ) as caught:
        trusted(snapshot, lock=lock)
    assert complaint in str(caught.value)


def test_what_is_pinned_is_also_hashed(small: Path, tmp_path: Path) -> None:
    """The manifest is the pinned one, the weights are not its."""
    lock = tmp_path / "voxrun.lock"
    write_lock(Pin.of(small), lock)
    (small / "model.safetensors").write_bytes(bytes(5120))
    with pytest.raises(TrustError, match=r"model\.safetensors: sha256"):
        trusted(small, lock=lock)


def test_the_command_writes_a_lock_and_keeps_to_it(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, model = tmp_path / "voxrun.lock", ["--model", str(voice), "--audio", str(FIRST)]
    assert main([*model, "--write-lock", str(lock)]) == 0
    assert Pin.read(lock) == Pin.of(voice)
    assert main([*model, "--lock", str(lock)]) == 0
    assert capsys.readouterr().out == "please try again\n" * 2

    other = Path(shutil.copytree(voice, tmp_path / "other"))
    assert main(["--model", str(other), "--lock", str(lock), "--audio", str(FIRST)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"voxrun: {other}: not what {lock} pins: model other instead of voice; ")


def test_no_lock_is_written_of_what_is_not_as_its_manifest_says(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, folder = tmp_path / "voxrun.lock", Path(shutil.copytree(voice, tmp_path / "voice"))
    (folder / "params.json").write_bytes(b"{}")
    assert main(["--model", str(folder), "--write-lock", str(lock), "--audio", str(FIRST)]) == 2
    assert "params.json: 2 bytes instead of" in capsys.readouterr().err
    assert not lock.exists()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        yield server


def voxrun(hub: HubServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(hub.folder.parent / "hf-home")}
    return subprocess.run(
        [sys.executable, "-m", "voxrun", *arguments, "--audio", str(FIRST)],
        env=online | home,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_lock_names_the_model_and_outlives_a_branch_that_moved(
    hub: HubServer, voice: Path, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in voice.iterdir()}
    commit, lock = hub.add("models", NAME, files), str(tmp_path / "voxrun.lock")
    written = voxrun(hub, "--model", NAME, "--write-lock", lock)
    assert written.returncode == 0, written.stderr
    assert Pin.read(Path(lock)) == Pin(NAME, commit, digest_of(voice))

    newer = hub.add("models", NAME, files | {"LICENSE": b"another"})
    shutil.rmtree(tmp_path / "hf-home")
    kept = voxrun(hub, "--lock", lock)
    assert (kept.returncode, kept.stdout) == (0, "please try again\n"), kept.stderr
    refused = voxrun(hub, "--lock", lock, "--model", NAME, "--revision", "main")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"revision {newer} instead of {commit}" in refused.stderr

"""--verify on the command line, and of what the genuine client fetched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from committed import CHECKPOINT, CLIPS
from hub_server import HubServer, serving
from signed_models import FILES, flip, sign, write_artifact

from voxrun.cli.main import main
from voxrun.errors import TrustError
from voxrun.trust.proof import check

ALL_FILES = [*FILES, "provenance.json", "manifest.json", "model.sig"]
FIRST = CLIPS / "prompts" / "please-try-again.flac"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """The embedded model as a signed artifact."""
    files = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}
    folder = write_artifact(tmp_path_factory.mktemp("voice") / "voice", files)
    sign(folder, keys[0])
    return folder


def test_the_command_reports_the_verification_in_one_line(
    voice: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--verify", f"--verify={public}"):
        assert main(["--model", str(voice), option, "--audio", str(FIRST)]) == 0
        out, err = capsys.readouterr()
        assert out == "please try again\n"
        assert err == f"voxrun: {check(voice, public if '=' in option else None)}\n"


def test_the_command_refuses_in_one_sentence(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(voice, tmp_path / "voice"))
    (folder / "params.json").write_bytes(flip((folder / "params.json").read_bytes(), 0.5))
    assert main(["--model", str(folder), "--verify", "--audio", str(FIRST)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"voxrun: {folder / 'params.json'}: sha256 ")
    assert err.endswith("damaged or changed; do not use it; fetch or build it again\n")
    assert err.count("\n") == 1


NAME = "team/voice"
FETCH = """
import sys
from pathlib import Path
from voxrun.errors import VoxrunError
from voxrun.trust.open import trusted
try:
    print(trusted(sys.argv[1], sys.argv[2] or None, verify=Path(sys.argv[3])))
except VoxrunError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        yield server


def fetch(hub: HubServer, key: Path, revision: str = "") -> subprocess.CompletedProcess[str]:
    """With the genuine client, in a process of its own: it reads its environment at import."""
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(hub.folder.parent / "hf-home")}
    return subprocess.run(
        [sys.executable, "-c", FETCH, NAME, revision, str(key)],
        env=online | home,
        capture_output=True,
        text=True,
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_download_is_proven_and_one_damaged_on_the_disk_is_refused(
    hub: HubServer, original: Path, public: Path
) -> None:
    commit = hub.add("models", NAME, files_of(original) | {".gitattributes": b"theirs"})
    process = fetch(hub, public)
    assert process.returncode == 0, process.stderr
    folder = Path(process.stdout.strip())
    assert folder.name == commit
    assert files_of(folder) == files_of(original)
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(flip(blob.read_bytes(), 0.5))
    again = fetch(hub, public, commit)
    assert again.returncode == 1
    assert "model.safetensors: sha256" in again.stderr


def swapped(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {"config.json": files["README.md"], "README.md": files["config.json"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f | {"model.safetensors": flip(f["model.safetensors"], 0.7)}, "model.safetensors: sha256"),
        (lambda f: f | {"model.safetensors": f["model.safetensors"][:-1]}, "5,119 bytes instead of 5,120"),
        (swapped, "bytes instead of"),
        (lambda f: f | {"more.safetensors": b"more"}, "more.safetensors: not in the manifest"),
        (lambda f: {n: d for n, d in f.items() if n != "model.sig"}, "not signed"),
        (
            lambda f: {n: d for n, d in f.items() if n != "manifest.json"},
            "no manifest.json, so its files cannot be verified",
        ),
    ],
    ids=["flipped", "truncated", "swapped", "added", "unsigned", "no manifest"],
)
def test_a_repository_with_other_files_is_refused(
    change: Callable[[dict[str, bytes]], dict[str, bytes]],
    complaint: str,
    hub: HubServer,
    original: Path,
    public: Path,
) -> None:
    hub.add("models", NAME, change(files_of(original)))
    process = fetch(hub, public)
    assert process.returncode == 1
    assert complaint in process.stderr
    assert process.stderr.count("\n") == 1


FOREIGN = {"LICENSE": b"theirs", "pytorch_model.bin": b"theirs", "fp16/model.safetensors": b"theirs"}


@pytest.mark.slow
def test_files_of_others_in_a_repository_are_neither_fetched_for_verification_nor_in_its_way(
    hub: HubServer, original: Path, public: Path
) -> None:
    commit = hub.add("models", NAME, files_of(original) | FOREIGN)
    folder = Path(fetch(hub, public).stdout.strip())
    assert not (folder / "LICENSE").exists()
    assert not (folder / "pytorch_model.bin").exists()
    (folder / "LICENSE").write_bytes(b"fetched by another program")
    assert Path(fetch(hub, public, commit).stdout.strip()) == folder
    assert check(folder, shared=True).others == ("LICENSE", "fp16/model.safetensors")
    with pytest.raises(TrustError, match="LICENSE: not in the manifest"):
        check(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["consolidated.safetensors", "params.json", "Model.safetensors"])
def test_a_file_of_others_that_a_program_would_load_is_refused(
    name: str, hub: HubServer, original: Path, public: Path
) -> None:
    hub.add("models", NAME, files_of(original) | {name: b"theirs"})
    process = fetch(hub, public)
    assert process.returncode == 1
    assert f"{name}: not in the manifest" in process.stderr


@pytest.mark.slow
def test_a_partial_download_is_completed_for_verification(
    hub: HubServer, original: Path, public: Path
) -> None:
    """Without --verify only what is loaded is fetched; the rest comes when it is asked for."""
    commit = hub.add("models", NAME, files_of(original))
    folder = Path(fetch(hub, public, commit).stdout.strip())
    (folder / "README.md").unlink()
    shutil.rmtree(folder.parents[1] / "trees", ignore_errors=True)  # the client's list of what a commit has
    assert fetch(hub, public, commit).returncode == 0
    assert (folder / "README.md").is_file()

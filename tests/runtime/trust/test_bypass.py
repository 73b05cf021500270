"""Ways to have something loaded, or told, that was never proven: each of them once worked."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT, CLIPS
from keys import write_keys
from signed_models import sign, write_artifact, write_manifest, write_provenance

from voxrun.checkpoint.layout import Layout
from voxrun.cli.main import main
from voxrun.cli.run import write_lock
from voxrun.cli.screen import show_log
from voxrun.errors import ModelError, TrustError, VoxrunError, WeightsError
from voxrun.files.paths import TOOLS, is_plain
from voxrun.transcriber import Transcriber
from voxrun.trust.manifest import digest_of, read_entries
from voxrun.trust.open import trusted
from voxrun.trust.pin import Pin
from voxrun.trust.proof import check

FIRST = str(CLIPS / "prompts" / "please-try-again.flac")
INDEX = "model.safetensors.index.json"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSOR = (4).to_bytes(8, "little") + b"{}  "
ENTRY = {"size": 1, "sha256": "0" * 64}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public half."""
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def voice(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """The embedded model as a signed artifact."""
    files = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}
    folder = write_artifact(tmp_path / "voice", files)
    sign(folder, keys[0])
    return folder


def test_the_folder_that_was_proven_is_the_one_that_is_loaded(
    voice: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A folder may be called like an entry of a registry, in which something else lies."""
    shutil.move(voice, tmp_path / "registry:voice")
    entry = tmp_path / "out/registry/models--evil--voice"
    evil = write_artifact(entry / "snapshots" / COMMIT, {"params.json": b"{}"})
    (entry / "refs").mkdir()
    for ref in ("v1", "main"):
        (entry / "refs" / ref).write_text(evil.name)
    monkeypatch.chdir(tmp_path)
    command = ["--model", "./registry:voice", f"--verify={keys[1]}", "--audio", FIRST]
    assert main(command) == 0
    assert capsys.readouterr().out == "please try again\n"
    assert Transcriber.open("./registry:voice", verify=keys[1]).rate == 16000


@pytest.mark.parametrize("tool", [*sorted(TOOLS), ".CACHE", ".Git"])
def test_what_is_never_proven_is_never_loaded(tool: str, tmp_path: Path) -> None:
    index = {"weight_map": {"a": f"{tool}/model.safetensors"}}
    folder = write_artifact(tmp_path / "voice", {INDEX: json.dumps(index).encode()})
    (folder / tool).mkdir()
    (folder / tool / "model.safetensors").write_bytes(TENSOR)
    with pytest.raises(WeightsError, match="is no weight file's name"):
        _ = Layout(folder).weight_files
    with pytest.raises(ModelError, match="is no name of an artifact's file"):
        read_entries({"files": {f"{tool}/model.safetensors": ENTRY}}, "manifest.json")
    with pytest.raises(VoxrunError):
        check(folder)


def test_every_file_that_is_loaded_is_in_the_manifest(
    voice: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a loader ever look elsewhere than where a proof does, then that is refused."""
    assert Layout(voice).loaded_names == {"params.json", "tekken.json", "consolidated.safetensors"}
    check(voice, keys[1])
    (voice / ".cache").mkdir()
    shutil.copy(voice / "tekken.json", voice / ".cache/more.safetensors")
    monkeypatch.setattr("voxrun.checkpoint.layout.MISTRAL_WEIGHTS", ".cache/more.safetensors")
    with pytest.raises(TrustError, match=r"'\.cache/more\.safetensors' would be loaded, and is not in"):
        check(voice, keys[1])


def test_every_file_that_is_opened_to_load_was_proven(voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: set[str] = set()
    genuine: Callable[..., Any] = os.open

    def told(path: Any, *rest: Any, **more: Any) -> int:
        opened.add(os.fspath(path))
        return int(genuine(path, *rest, **more))

    monkeypatch.setattr(os, "open", told)
    Transcriber.load(voice)
    assert {Path(p).name for p in opened if p.startswith(str(voice))} <= Layout(voice).loaded_names


def test_a_key_may_be_given_as_text(voice: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    _, other = write_keys(tmp_path, "other")
    assert trusted(voice, verify=str(keys[1])) == trusted(voice, verify=keys[1]) == voice
    for key in (other, str(other)):
        with pytest.raises(TrustError, match="not signed with the private key of"):
            Transcriber.open(voice, verify=key)
    (voice / "model.sig").unlink()
    with pytest.raises(TrustError, match="not signed, so it cannot be verified"):
        Transcriber.open(voice, verify=str(keys[1]))


@pytest.mark.parametrize("verify", [None, 0, 1, b"key.pub", [], 3.5], ids=repr)
def test_verify_must_be_a_bool_or_a_path(verify: Any, voice: Path) -> None:
    with pytest.raises(TypeError, match="verify is True, False or the path of a public key"):
        Transcriber.open(voice, verify=verify)


def test_an_empty_key_is_refused(voice: Path, tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(TrustError, match="this one is empty"):
        Transcriber.open(voice, verify="")
    with pytest.raises(TrustError, match="the lock cannot be read"):
        Transcriber.open(voice, lock="")
    with pytest.raises(SystemExit) as end:
        main(["--model", str(voice), "--verify=", "--audio", FIRST])
    assert end.value.code == 2
    assert "--verify needs a value: --verify=KEY" in capsys.readouterr().err


def test_verifying_a_lock_neither_blocks_on_a_pipe_nor_takes_memory(voice: Path, tmp_path: Path) -> None:
    lock = tmp_path / "voxrun.lock"
    write_lock(Pin.of(voice), lock)
    (voice / "manifest.json").unlink()
    os.mkfifo(voice / "manifest.json")
    with pytest.raises(ModelError, match=r"manifest\.json: not a regular file"):
        trusted(voice, lock=lock)
    (voice / "manifest.json").unlink()
    with (voice / "manifest.json").open("wb") as file:
        file.truncate(40 * 2**30)  # it takes no room
    with pytest.raises(ModelError, match=r"manifest\.json: larger than 8,388,608 bytes"):
        trusted(voice, lock=lock)
    for special in (lambda: os.mkfifo(lock), lambda: lock.symlink_to("/dev/zero")):
        lock.unlink()
        special()
        with pytest.raises(TrustError, match=r"the lock cannot be read \(not a regular file\)"):
            trusted(voice, lock=lock)


def test_reading_a_key_that_is_a_pipe_does_not_block(voice: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.pub")
    for key in (tmp_path / "key.pub", Path("/dev/zero")):
        with pytest.raises(TrustError, match=r"the public key cannot be read \(not a regular file\)"):
            check(voice, key)


FORGED = "x\x1b[2K\rvoxrun: fine\nvoxrun: voice: 9 files match the manifest"


@pytest.mark.parametrize("name", [FORGED, "y" * 3_000_000], ids=["escapes", "3 MB"])
def test_a_name_in_a_manifest_is_quoted_in_one_line(name: str, voice: Path, capsys: Capture) -> None:
    manifest = json.loads((voice / "manifest.json").read_text())
    manifest["files"][name] = ENTRY
    (voice / "manifest.json").write_text(json.dumps(manifest))
    assert main(["--model", str(voice), "--verify", "--audio", FIRST]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert len(err) < 1100
    assert "\x1b" not in err
    assert err.endswith("is no name of an artifact's file\n")


def test_a_name_on_the_disk_is_quoted_in_one_line(voice: Path, capsys: Capture) -> None:
    (voice / FORGED).write_bytes(b"")
    assert main(["--model", str(voice), "--verify", "--audio", FIRST]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    assert err.endswith("not in the manifest; remove it, or do not use the model\n")


def test_errors_are_one_line_of_bounded_length_everywhere() -> None:
    error = TrustError(f"\x1b[2J{'z' * 10**6}\n\u202e")
    assert str(error).isprintable()
    assert len(str(error)) == 1000


def test_a_warning_is_one_line_too(capsys: Capture) -> None:
    show_log()
    logging.getLogger("voxrun").warning("%s was withdrawn", FORGED)
    err = capsys.readouterr().err
    assert err.startswith("voxrun: x ")
    assert err[:-1].isprintable()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a" * 255, True),
        ("a" * 256, False),
        ("é" * 128, False),
        ("a/" * 499 + "b", True),
        ("a/" * 500 + "b", False),
    ],
    ids=lambda value: str(value)[:6],
)
def test_a_name_fits_on_a_disk(name: str, plain: bool) -> None:
    assert is_plain(name) == plain


@pytest.mark.parametrize(
    ("predicate", "field"),
    [
        ({}, "buildDefinition.buildType"),
        ({"buildDefinition": {"buildType": ""}}, "buildDefinition.buildType"),
        ({"buildDefinition": {"buildType": "urn:a"}}, "buildDefinition.externalParameters"),
        ({"buildDefinition": {"buildType": "urn:a", "externalParameters": {}}}, "runDetails.builder.id"),
        (
            {
                "buildDefinition": {"buildType": "urn:a", "externalParameters": {}},
                "runDetails": {"builder": {"id": 7}},
            },
            "runDetails.builder.id",
        ),
        ([], "buildDefinition.buildType"),
    ],
)
def test_provenance_without_what_slsa_demands_is_refused(predicate: Any, field: str, voice: Path) -> None:
    (voice / "model.sig").unlink()
    write_provenance(voice, predicate=predicate)
    write_manifest(voice)
    with pytest.raises(TrustError, match=rf"provenance\.json: predicate\.{field} is missing"):
        check(voice)


def in_registry(voice: Path, registry: Path) -> Path:
    """The artifact as team/voice of a registry, tagged v1."""
    entry = registry / "models--team--voice"
    shutil.copytree(voice, entry / "snapshots" / COMMIT)
    (entry / "refs").mkdir()
    for ref in ("v1", "main"):
        (entry / "refs" / ref).write_text(COMMIT)
    return entry


@pytest.mark.slow
def test_a_lock_from_a_registry_is_enough(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    entry = in_registry(voice, tmp_path / "out/registry")
    monkeypatch.chdir(tmp_path)
    assert main(["--model", "registry:voice@v1", "--write-lock", "a.lock", "--audio", FIRST]) == 0
    assert Pin.read(Path("a.lock")) == Pin("registry:team/voice", COMMIT, digest_of(voice))
    assert main(["--lock", "a.lock", "--audio", FIRST]) == 0
    shutil.move(tmp_path / "out/registry", tmp_path / "elsewhere")
    assert main(["--lock", "a.lock", "--registry", "elsewhere", "--audio", FIRST]) == 0
    monkeypatch.setenv("VOXRUN_REGISTRY", "elsewhere")
    assert main(["--lock", "a.lock", "--model", "registry:team/voice", "--audio", FIRST]) == 0
    assert capsys.readouterr().out == "please try again\n" * 4

    entry = tmp_path / "elsewhere/models--team--voice"
    (entry / "refs/withdrawn-v1").write_text(COMMIT)
    for model in (["--lock", "a.lock"], ["--model", f"registry:voice@{COMMIT}"]):
        assert main([*model, "--audio", FIRST]) == 0
        assert "team/voice at v1 was withdrawn: no reason was recorded\n" in capsys.readouterr().err


def test_a_lock_of_a_folder_says_what_it_needs(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    lock = str(tmp_path / "a.lock")
    assert main(["--model", str(voice), "--write-lock", lock, "--audio", FIRST]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["--lock", lock, "--audio", FIRST]) == 0
    monkeypatch.chdir(voice)
    capsys.readouterr()
    assert main(["--lock", lock, "--audio", FIRST]) == 2
    complaint = (
        f"voxrun: {lock}: pins a folder voice, which is not in the current one; give its path with --model\n"
    )
    assert capsys.readouterr().err == complaint
    assert main(["--lock", lock, "--model", str(voice), "--audio", FIRST]) == 0

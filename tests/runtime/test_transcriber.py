"""Where a model is looked for: a folder, a local registry, the Hub's cache; never the network here."""

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from committed import CHECKPOINT
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from small_models import random_tensors, small_params, write_artifact

from voxrun.checkpoint.config import ModelConfig
from voxrun.errors import AudioError, ConfigError, ModelError
from voxrun.transcriber import Transcriber, listen
from voxrun.trust.locate import locate

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """One repository, `team/voice`, at one revision, tagged v1."""
    repository = tmp_path / "registry" / "models--team--voice"
    params = small_params()
    write_artifact(repository / "snapshots" / REVISION, params, random_tensors(ModelConfig.from_dict(params)))
    (repository / "refs").mkdir()
    for ref in ("main", "v1"):
        (repository / "refs" / ref).write_text(REVISION, encoding="utf-8")
    return tmp_path / "registry"


def test_a_folder_is_taken_as_it_is(transcriber: Transcriber) -> None:
    assert locate(CHECKPOINT) == locate(str(CHECKPOINT)) == CHECKPOINT
    assert transcriber.rate == Transcriber.load(str(CHECKPOINT)).rate == 16000


@pytest.mark.parametrize("revision", [None, "main", "v1", REVISION])
def test_a_repository_is_found_in_a_registry(registry: Path, revision: str | None) -> None:
    folder = locate("team/voice", revision=revision, registry=registry)
    assert folder == registry / "models--team--voice" / "snapshots" / REVISION
    transcriber = Transcriber.open("team/voice", revision=revision, registry=registry)
    transcriber.session().feed(np.zeros(16000, np.float32))


def test_a_registry_goes_before_a_folder_of_the_same_name(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team" / "voice").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate("team/voice") == Path("team/voice")
    assert registry in locate("team/voice", registry=registry).parents


@pytest.mark.parametrize("name", ["team/voice", "voice"])
@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{REVISION}"])
def test_a_registry_can_be_named_before_the_repository(
    registry: Path, monkeypatch: pytest.MonkeyPatch, name: str, revision: str
) -> None:
    snapshot = Path("models--team--voice") / "snapshots" / REVISION
    assert locate(f"registry:{name}{revision}", registry=registry) == registry / snapshot
    assert locate(f"{name}{revision}", registry=registry) == registry / snapshot
    monkeypatch.setenv("VOXRUN_REGISTRY", str(registry))
    assert locate(f"registry:{name}{revision}") == registry / snapshot
    monkeypatch.delenv("VOXRUN_REGISTRY")
    registry.parent.joinpath("out").mkdir()
    registry.rename(registry.parent / "out/registry")
    monkeypatch.chdir(registry.parent)
    assert locate(f"registry:{name}{revision}") == Path("out/registry") / snapshot


def test_a_revision_is_given_once(registry: Path) -> None:
    assert locate("voice@v1", revision="v1", registry=registry).name == REVISION
    with pytest.raises(ModelError, match="voice@v1 and --revision v2 are two revisions"):
        locate("voice@v1", revision="v2", registry=registry)
    with pytest.raises(ModelError, match="belongs behind the @"):
        locate("voice@", registry=registry)


@pytest.mark.parametrize("tag", ["v2", "withdrawn-v1", "9" * 40])
def test_a_tag_that_a_registry_does_not_have_is_named_with_those_it_has(registry: Path, tag: str) -> None:
    (registry / "models--team--voice/refs/withdrawn-v1").write_text(REVISION)
    with pytest.raises(ModelError) as caught:
        locate(f"registry:voice@{tag}", registry=registry)
    assert str(caught.value) == f"team/voice at {tag} is not in the registry {registry}; its tags: v1"


@pytest.mark.parametrize("name", ["other", "team/other", "../registry/models--team--voice", "..", ""])
def test_a_repository_that_a_registry_does_not_have_is_named_with_those_it_has(
    registry: Path, name: str
) -> None:
    with pytest.raises(ModelError) as caught:
        locate(f"registry:{name}", registry=registry)
    assert str(caught.value) == f"{name} is not in the registry {registry}, which holds team/voice".strip()


def test_a_withdrawn_tag_is_loaded_with_a_warning(registry: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = registry / "models--team--voice"
    assert locate("registry:voice@v1", registry=registry).name == REVISION
    assert not caplog.records
    (folder / "refs/withdrawn-v1").write_text(REVISION)
    history = [{"tag": "v1", "commit": REVISION, "date": "", "reason": "deaf\nto numbers"}]
    (folder / "history.json").write_text(json.dumps(history))
    assert locate("registry:voice@v1", registry=registry).name == REVISION
    assert [record.getMessage() for record in caplog.records] == [
        "team/voice at v1 was withdrawn: deaf to numbers"
    ]


def test_if_all_tags_are_withdrawn_one_must_be_named(registry: Path) -> None:
    (registry / "models--team--voice/refs/main").unlink()
    with pytest.raises(ModelError, match=r"^team/voice has no latest .*: name a tag; its tags: v1$"):
        locate("registry:voice", registry=registry)


def test_a_revision_of_the_hub_may_stand_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, revision: str | None, **_: object) -> str:
        asked.append((name, revision))
        return "/snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("team/voice@v1") == locate("team/voice", revision="v1") == Path("/snapshot")
    assert asked == [("team/voice", "v1")] * 2


def test_a_folder_may_have_an_at_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "voice@v1").mkdir()
    assert locate(tmp_path / "voice@v1") == tmp_path / "voice@v1"


@pytest.mark.parametrize("name", ["nowhere", "./team/voice", "a/b/c", "/no/such/folder", "/model"])
def test_what_is_neither_folder_nor_repository_is_named(name: str) -> None:
    with pytest.raises(ModelError, match=f"^{name}: no such folder"):
        locate(name)


def test_an_impossible_repository_name_is_named() -> None:
    with pytest.raises(ModelError, match=r"^team/bad name: Repo id must"):
        locate("team/bad name")


def test_a_repository_that_cannot_be_fetched_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    expected = "^team/voice is not in the cache, nor can the Hub be reached; try again with a connection"
    with pytest.raises(ModelError, match=expected):
        locate("team/voice")


def test_progress_gets_seconds_and_text(transcriber: Transcriber, clip: Path) -> None:
    told: list[tuple[float, str]] = []
    transcript = transcriber.transcribe(clip, progress=lambda seconds, text: told.append((seconds, text)))
    assert "".join(text for _, text in told).strip() == transcript.text
    assert told[-1][0] == transcript.seconds == 19924 / 16000


def test_what_was_heard_of_a_source_that_fails_comes_out(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield samples
        raise AudioError("the rest is noise")

    heard = []
    with pytest.raises(AudioError, match="the rest is noise"):
        for result in listen(transcriber.session(), failing()):
            heard.append(result.text)
    assert "".join(heard).strip() == "please try again"


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    for path in CHECKPOINT.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = json.loads((tmp_path / "tekken.json").read_text(encoding="utf-8"))
    raw["config"]["default_vocab_size"] = 1000
    (tmp_path / "tekken.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tekken\.json has 1000 tokens, the model 1024"):
        Transcriber.open(tmp_path)

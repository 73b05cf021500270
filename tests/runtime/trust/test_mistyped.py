"""A path that is mistyped is not sent to the Hub: the message names the folder that was meant."""

from pathlib import Path

import huggingface_hub
import pytest

from voxrun.errors import ModelError
from voxrun.trust.defaults import DEFAULT_MODEL
from voxrun.trust.locate import locate


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """out/tiny/4bit, out/tiny/6bit and a home with models/x; nothing is asked of the Hub."""

    def asked(name: str, **_: object) -> str:
        raise AssertionError(f"the Hub was asked for {name}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", asked)
    for name in ("out/tiny/4bit", "out/tiny/6bit", "home/models/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "out/tiny/4bit/model.safetensors").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./out/tiny/4bti", "no such folder; did you mean out/tiny/4bit?"),
        ("out/tiny/4bti", "no such folder; did you mean out/tiny/4bit?"),
        ("out/tiny/4bti/", "no such folder; did you mean out/tiny/4bit?"),
        ("../{here}/uot/tiny/4bit", "no such folder; did you mean ../{here}/out/tiny/4bit?"),
        (
            "out/tinny",
            "no such folder; did you mean out/tiny?; if a repository of the Hub is meant: out/tinny@main",
        ),
        ("out/tiny/bf16", "no such folder; in out/tiny there are 4bit, 6bit"),
        ("./tiny", "no such folder"),
        ("out/tiny/4bit/model.safetensors", "is a file; name the model's folder, out/tiny/4bit"),
        ("~/models/x", "no such folder; did you mean {home}/models/x?"),
        ("~/models/voice", "no such folder; in {home}/models there are x"),
        ("out\\tiny\\4bit", "no such folder; did you mean out/tiny/4bit?"),
        ("C:\\models\\x", "no such folder"),
        ("models/x/y", "no such folder"),
        ("x/", "no such folder"),
        ("owner/name/", "no such folder"),
        ("otu", "no such folder, and no repository name like owner/name; did you mean out?"),
        ("https://a.b/owner/name", "a URL; a repository is named owner/name"),
        ("foo@bar/baz", "no such folder"),
    ],
)
def test_a_path_is_not_sent_to_the_hub(tmp_path: Path, name: str, said: str) -> None:
    name, said = (text.format(here=tmp_path.name, home=tmp_path / "home") for text in (name, said))
    with pytest.raises(ModelError) as caught:
        locate(name)
    assert str(caught.value) == f"{name}: {said}"


@pytest.mark.parametrize("name", ["", "a\0b", "./a\0/b", "a\udcff/b/c", "~nobody/x", "x" * 300 + "/y/z"])
def test_an_impossible_name_is_one_sentence(name: str) -> None:
    with pytest.raises(ModelError, match=r"no such folder|is empty"):
        locate(name)


def test_a_folder_of_its_owners_name_does_not_hide_a_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, revision: str | None, **_: object) -> str:
        asked.append((name, revision))
        return "/snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    locate("owner/name")
    locate("out/voice@main")
    locate("out/voice", revision="feature/x")
    locate("owner/name@refs/pr/1")
    assert asked == [
        ("owner/name", None),
        ("out/voice", "main"),
        ("out/voice", "feature/x"),
        ("owner/name", "refs/pr/1"),
    ]
    with pytest.raises(ModelError):
        locate("./out/voice", revision="main")


def test_a_folder_that_holds_nothing_alike_does_not_hide_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does any folder hide the default model, or a repository in the cache."""
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or "/snapshot"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / f"{DEFAULT_MODEL.replace('6bit', '4bit')}").mkdir(parents=True)
    (tmp_path / "cache/models--out--tinny").mkdir(parents=True)
    names = [DEFAULT_MODEL, "out/voice", "out/tinny"]
    for name in names:
        locate(name)
    assert asked == names
    with pytest.raises(ModelError, match="did you mean mlx-community/"):
        locate(DEFAULT_MODEL.replace("6bit", "5bit"))


def test_what_is_not_on_the_hub_may_be_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, **_: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("nothing")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", nothing)
    with pytest.raises(ModelError, match=r"nor can the Hub be reached; did you mean out/tiny\?$"):
        locate("otu/tiny")
    with pytest.raises(ModelError, match=r"reached; try again with a connection, or name the folder"):
        locate("nope/nope")
    with pytest.raises(ModelError, match=r"nor can the Hub be reached; in out there are tiny$"):
        locate("out/voice")

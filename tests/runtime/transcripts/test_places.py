"""Each recording's transcript has a place of its own, which is known before anything is heard."""

import os
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxrun.errors import OutputError
from voxrun.transcripts.output import output_at
from voxrun.transcripts.places import make_folder, places

NOBODY = 65534


def test_one_recording_goes_to_the_file(tmp_path: Path) -> None:
    assert places(str(tmp_path / "a.srt"), ["talk.flac"], "srt") == [tmp_path / "a.srt"]


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("x" * 300, "File name too long"),
        ("nowhere/talk.srt", "No such file or directory"),
        ("file/talk.srt", "Not a directory"),
        ("a\0b.srt", "cannot have a NUL character"),
    ],
)
def test_a_place_that_cannot_be_is_one_sentence(tmp_path: Path, target: str, complaint: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=complaint):
        places(str(tmp_path / target), ["talk.flac"], "srt")


@pytest.fixture
def another_user() -> Iterator[Path]:
    """A folder that anybody may read, as seen by a user who may only write to its folder `mine`."""
    if os.getuid():
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "mine").mkdir()
        (folder / "mine" / "kept.srt").touch(0o444)
        os.chown(folder / "mine", NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
        yield folder
        os.setresuid(0, 0, 0)


def test_what_may_not_be_written_is_told_before_anything_is_heard(another_user: Path) -> None:
    assert places(f"{another_user}/mine/talk.srt", ["talk.flac"], "srt")
    assert places(f"{another_user}/mine/new/", ["talk.flac"], "srt")
    for target in ("talk.srt", ".", "new/", "mine/kept.srt"):
        with pytest.raises(OutputError, match="Permission denied"):
            places(f"{another_user}/{target}", ["talk.flac"], "srt")


def test_a_long_name_is_cut_at_a_character(tmp_path: Path) -> None:
    name = "録" * 84 + ".au"
    assert len(name.encode()) == 255
    (path,) = places(f"{tmp_path}/", [name], "json")
    assert path == tmp_path / ("録" * 83 + ".json")
    with output_at(path, live=False) as output:
        output.write("text")
    assert path.read_text(encoding="utf-8") == "text"
    with pytest.raises(OutputError, match="two recordings would be written there"):
        places(f"{tmp_path}/", [name, "録" * 83 + "話.au"], "json")


def test_a_folder_that_is_there_or_meant_gets_a_file_for_each(tmp_path: Path) -> None:
    assert places(str(tmp_path), ["x/talk.flac"], "srt") == [tmp_path / "talk.srt"]
    assert places(f"{tmp_path}/new/", ["talk.flac"], "vtt") == [tmp_path / "new" / "talk.vtt"]
    assert places(f"{tmp_path}/two", ["a.flac", "b.tar.wav"], "txt") == [
        tmp_path / "two" / "a.txt",
        tmp_path / "two" / "b.tar.txt",
    ]
    assert list(tmp_path.iterdir()) == []
    make_folder(tmp_path / "two" / "a.txt")
    assert (tmp_path / "two").is_dir()


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_heard(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for target, complaint in (
        ("file/new", "Not a directory"),
        ("link", "No such file or directory"),
        ("x" * 300, "File name too long"),
        ("link/new", "No such file or directory"),
    ):
        with pytest.raises(OutputError, match=rf"cannot be a folder for transcripts \({complaint}\)"):
            places(f"{tmp_path}/{target}/", ["talk.flac"], "srt")
    with pytest.raises(OutputError, match="Not a directory"):  # if it came between
        make_folder(tmp_path / "file" / "new" / "talk.srt")


def test_one_document_never_overwrites_another_nor_a_recording(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two recordings would be written there"):
        places(f"{tmp_path}/out", ["a/talk.flac", "b/talk.wav"], "txt")
    recording = str(tmp_path / "talk.flac")
    (tmp_path / "talk.flac").touch()
    (tmp_path / "hard.srt").hardlink_to(recording)
    (tmp_path / "soft.srt").symlink_to(recording)
    for target in (recording, f"{tmp_path}/hard.srt", f"{tmp_path}/soft.srt"):
        with pytest.raises(OutputError, match="the recording itself would be overwritten"):
            places(target, [recording], "txt")


def test_two_names_of_one_file_are_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").symlink_to("a.txt")
    (tmp_path / "d.txt").symlink_to("c.txt")  # is not there yet
    for names in (["a.flac", "b.flac"], ["c.flac", "d.flac"]):
        with pytest.raises(OutputError, match=r"[bd]\.txt: two recordings would be written there"):
            places(str(tmp_path), names, "txt")
    names = ["naïve.flac", unicodedata.normalize("NFD", "Naïve.flac")]
    assert len(places(str(tmp_path), names, "txt")) == 2
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OutputError, match="two recordings would be written there"):
        places(str(tmp_path), names, "txt")


@pytest.mark.parametrize("name", ["talk.srt", "talk.SRT", "results.csv", "talk.docx", "out.mp3"])
def test_a_file_is_no_folder_for_several_recordings(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=rf"{name}: a file cannot hold 2 recordings; name a folder"):
        places(f"{tmp_path}/{name}", ["a.flac", "b.flac"], "srt")
    assert list(tmp_path.iterdir()) == []
    (first, _) = places(f"{tmp_path}/{name}/", ["a.flac", "b.flac"], "srt")
    make_folder(first)
    assert places(f"{tmp_path}/{name}", ["a.flac", "b.flac"], "srt")  # it is there now


def test_several_recordings_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be a folder for transcripts"):
        places(str(tmp_path / "file"), ["a.flac", "b.flac"], "txt")

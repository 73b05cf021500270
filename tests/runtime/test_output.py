"""Documents appear whole or not at all, each in its own place."""

from pathlib import Path

import pytest

from voxrun.errors import OutputError
from voxrun.output import AtomicFile, Stdout, places


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "talk.srt"
    target.write_text("old", encoding="utf-8")
    with AtomicFile(target, live=False) as output:
        output.write("new ")
        assert target.read_text(encoding="utf-8") == "old"
        output.write("text")
    assert target.read_text(encoding="utf-8") == "new text"
    assert parts(tmp_path) == ["talk.srt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OutputError])
def test_on_an_error_the_old_file_stays(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "talk.srt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(error), AtomicFile(target, live=False) as output:
        output.write("new")
        raise error
    assert target.read_text(encoding="utf-8") == "old"
    assert parts(tmp_path) == ["talk.srt"]


@pytest.mark.parametrize(("error", "kept"), [(KeyboardInterrupt, True), (ValueError, False)])
def test_live_sound_that_is_broken_off_is_kept(
    tmp_path: Path, error: type[BaseException], kept: bool
) -> None:
    with pytest.raises(error), AtomicFile(tmp_path / "talk.srt", live=True) as output:
        output.write("hours")
        raise error
    assert parts(tmp_path) == (["talk.srt"] if kept else [])


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "talk.txt", live=False) as output:
        output.write("naïve\n")
    assert (tmp_path / "talk.txt").read_bytes() == "naïve\n".encode()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"nowhere/talk\.txt: cannot be written \(No such file or directory\)"
    ):
        AtomicFile(tmp_path / "nowhere" / "talk.txt", live=False)


def test_standard_output_waits_for_a_file_and_not_for_live_sound(capsys: pytest.CaptureFixture[str]) -> None:
    for live in (False, True):
        with Stdout(live) as output:
            output.write("heard")
            assert capsys.readouterr().out == ("heard" if live else "")
        assert capsys.readouterr().out == ("" if live else "heard")


def test_a_file_that_turned_out_bad_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), Stdout(live=False) as output:
        output.write("heard")
        raise ValueError
    assert capsys.readouterr().out == ""


def test_one_recording_goes_to_the_file(tmp_path: Path) -> None:
    assert places(str(tmp_path / "a.srt"), ["talk.flac"], "srt") == [tmp_path / "a.srt"]


def test_a_folder_that_is_there_or_meant_gets_a_file_for_each(tmp_path: Path) -> None:
    assert places(str(tmp_path), ["x/talk.flac"], "srt") == [tmp_path / "talk.srt"]
    assert places(f"{tmp_path}/new/", ["talk.flac"], "vtt") == [tmp_path / "new" / "talk.vtt"]
    assert places(f"{tmp_path}/two", ["a.flac", "b.tar.wav"], "txt") == [
        tmp_path / "two" / "a.txt",
        tmp_path / "two" / "b.tar.txt",
    ]
    assert (tmp_path / "two").is_dir()


def test_one_document_never_overwrites_another_nor_a_recording(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two recordings would be written there"):
        places(f"{tmp_path}/out", ["a/talk.flac", "b/talk.wav"], "txt")
    recording = str(tmp_path / "talk.flac")
    with pytest.raises(OutputError, match="the recording itself would be overwritten"):
        places(recording, [recording], "txt")


def test_several_recordings_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be a folder for transcripts"):
        places(str(tmp_path / "file"), ["a.flac", "b.flac"], "txt")

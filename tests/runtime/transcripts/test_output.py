"""Documents appear whole or not at all, each in its own place."""

import os
import resource
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from voxrun.errors import AudioError, OutputError
from voxrun.transcripts.output import AtomicFile, Stdout, output_at


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_aborted_live_transcript_is_kept(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), AtomicFile(tmp_path / "talk.srt", live=True) as output:
        output.write("hours")
        raise error
    assert parts(tmp_path) == ["talk.srt"]
    assert (tmp_path / "talk.srt").read_text(encoding="utf-8") == "hours"


@pytest.mark.parametrize(("text", "error"), [("", RuntimeError), ("WEBVTT", AudioError)])
def test_live_audio_without_text_leaves_an_old_file(
    tmp_path: Path, text: str, error: type[BaseException]
) -> None:
    (tmp_path / "talk.vtt").write_text("old", encoding="utf-8")
    with pytest.raises(error), AtomicFile(tmp_path / "talk.vtt", live=True) as output:
        output.write(text)
        raise error
    assert parts(tmp_path) == ["talk.vtt"]
    assert (tmp_path / "talk.vtt").read_text(encoding="utf-8") == "old"


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """As on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("live", [False, True])
def test_a_full_disk_leaves_nothing_where_nothing_was_written(tmp_path: Path, live: bool) -> None:
    complaint = r"talk\.srt: cannot be written \(File too large\)$"
    target = tmp_path / "talk.srt"
    with (
        pytest.raises(OutputError, match=complaint),
        files_no_longer_than(0),
        AtomicFile(target, live) as out,
    ):
        out.write("new")
    assert parts(tmp_path) == []


def test_a_full_disk_leaves_the_live_transcript_and_names_its_file(tmp_path: Path) -> None:
    complaint = r"\(File too large\); what was heard is in .*\.part$"
    output = AtomicFile(tmp_path / "talk.srt", live=True)
    with pytest.raises(OutputError, match=complaint) as caught, files_no_longer_than(5), output:
        output.write("hours")
        output.write("more")
    assert Path(str(caught.value).rpartition(" ")[2]).read_text(encoding="utf-8") == "hours"


@pytest.mark.parametrize("live", [False, True])
def test_a_file_that_cannot_be_put_in_its_place(tmp_path: Path, live: bool) -> None:
    complaint = r"talk\.srt: cannot be written \(Is a directory\)"
    with pytest.raises(OutputError, match=complaint), AtomicFile(tmp_path / "talk.srt", live) as output:
        output.write("hours")
        (tmp_path / "talk.srt").mkdir()
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.glob(".*.part")]
    assert texts == (["hours"] if live else [])


def test_of_a_link_the_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.srt").write_text("old", encoding="utf-8")
    (tmp_path / "link.srt").symlink_to("real.srt")
    with output_at(tmp_path / "link.srt", live=False) as output:
        output.write("new")
    assert (tmp_path / "link.srt").is_symlink()
    assert (tmp_path / "real.srt").read_text(encoding="utf-8") == "new"
    assert parts(tmp_path) == ["link.srt", "real.srt"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_a_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "talk.srt"
    target.touch()
    target.chmod(mode)
    with AtomicFile(target, live=False) as output:
        output.write("secret")
        (part,) = tmp_path.glob(".*.part")
        assert stat.S_IMODE(part.stat().st_mode) == mode
    assert target.read_text(encoding="utf-8") == "secret"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_that_are_usual(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with AtomicFile(tmp_path / "talk.srt", live=False) as output:
            output.write("text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "talk.srt").stat().st_mode) == 0o640


@pytest.mark.parametrize("live", [False, True])
def test_a_folder_that_was_deleted_is_named_and_no_file_in_it(tmp_path: Path, live: bool) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(OutputError, match=r"out/talk\.srt: cannot be written \(No such file or directory\)$"),
        AtomicFile(tmp_path / "out" / "talk.srt", live) as output,
    ):
        output.write("heard")
        shutil.rmtree(tmp_path / "out")


def test_what_a_killed_process_left_is_not_overwritten(tmp_path: Path) -> None:
    """In a container every process has the same number."""
    first, second = (AtomicFile(tmp_path / "talk.srt", live=True) for _ in range(2))
    first.__enter__().write("hours")
    with second:
        second.write("minutes")
    (part,) = tmp_path.glob(".*.part")
    assert part.read_text(encoding="utf-8") == "hours"
    first.discard()


def read_in_background(fifo: Path) -> tuple[threading.Thread, list[str]]:
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(fifo.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    return reader, seen


@pytest.mark.parametrize("live", [False, True])
def test_a_fifo_is_written_to_and_stays_one(tmp_path: Path, live: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader, seen = read_in_background(tmp_path / "fifo")
    with output_at(tmp_path / "fifo", live) as output:
        output.write("naïve ")
        output.write("text\n")
    assert (tmp_path / "fifo").is_fifo()
    reader.join(20)
    assert seen == ["naïve text\n"]


def test_nothing_is_written_to_a_fifo_for_a_damaged_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader, seen = read_in_background(tmp_path / "fifo")
    with pytest.raises(ValueError), output_at(tmp_path / "fifo", live=False) as output:
        output.write("heard")
        raise ValueError
    assert (tmp_path / "fifo").is_fifo()
    reader.join(20)
    assert seen == [""]


@pytest.mark.parametrize("live", [False, True])
def test_a_fifo_whose_reader_goes_is_an_error(tmp_path: Path, live: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    complaint = r"fifo: cannot be written \(Broken pipe\)"
    with pytest.raises(OutputError, match=complaint), output_at(tmp_path / "fifo", live) as output:
        os.close(reader)
        output.write("heard")


def test_a_full_device_is_an_error() -> None:
    complaint = r"/dev/full: cannot be written \(No space left on device\)"
    with pytest.raises(OutputError, match=complaint), output_at(Path("/dev/full"), live=False) as output:
        output.write("heard")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written \(Is a directory\)"):
        output_at(tmp_path, live=False)


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "talk.txt", live=False) as output:
        output.write("naïve\n")
    assert (tmp_path / "talk.txt").read_bytes() == "naïve\n".encode()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"nowhere/talk\.txt: cannot be written \(No such file or directory\)"
    ):
        AtomicFile(tmp_path / "nowhere" / "talk.txt", live=False).__enter__()


def test_standard_output_waits_for_a_file_and_not_for_live_sound(capsys: pytest.CaptureFixture[str]) -> None:
    for live in (False, True):
        with Stdout(live) as output:
            output.write("heard")
            assert capsys.readouterr().out == ("heard" if live else "")
        assert capsys.readouterr().out == ("" if live else "heard")


def test_a_damaged_recording_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), Stdout(live=False) as output:
        output.write("heard")
        raise ValueError
    assert capsys.readouterr().out == ""

"""`voxrun --jobs`: several recordings at once give what they give one by one."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from patience import PATIENCE, until

from voxrun.audio.file import FileSource
from voxrun.audio.source import Source
from voxrun.cli import several
from voxrun.cli.main import main
from voxrun.stream import at_once
from voxrun.stream.results import Result
from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber
from voxrun.transcripts.writers import WRITERS

MODEL = ["--model", str(CHECKPOINT)]
CHAIN = CLIPS / "chains" / "chain-1.flac"
FIRST = CLIPS / "prompts" / "please-try-again.flac"
SECOND = CLIPS / "prompts" / "you-entered.flac"
THIRD = CLIPS / "prompts" / "transfer.flac"

Run = tuple[int, str, list[str], dict[str, bytes]]
"""Exit code, standard output, lines of standard error, and what is in the files."""


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    """A long one and short ones, one that fails late, one that is no audio, a damaged one, and none."""
    said = soundfile.read(CHAIN, dtype="float32")[0]
    soundfile.write(tmp_path / "long.wav", said[: 16000 * 8], 16000)
    said[16000 * 6] = np.nan
    soundfile.write(tmp_path / "late.wav", said[: 16000 * 6 + 1], 16000, subtype="FLOAT")
    (tmp_path / "notes.wav").write_text("no sound", encoding="utf-8")
    (tmp_path / "cut.flac").write_bytes(FIRST.read_bytes()[:-2_000])
    names = "long.wav", "late.wav", "notes.wav", "cut.flac", "absent.flac"
    return [*(str(tmp_path / name) for name in names), str(FIRST), str(SECOND)]


def voxrun(capsys: Any, target: Path | None, *arguments: str) -> Run:
    code = main([*MODEL, *arguments, *(["--output", f"{target}/"] if target else [])])
    out, err = capsys.readouterr()
    files = {path.name: path.read_bytes() for path in target.iterdir()} if target else {}
    return code, out, sorted(err.replace(str(target), "").splitlines()), files


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--format", "json"], ["--temp", "0.7", "--seed", "3"]])
def test_standard_output_is_that_of_one_by_one(
    capsys: Any, recordings: list[str], options: list[str]
) -> None:
    one = voxrun(capsys, None, *recordings, *options, "--jobs", "1")
    assert one[0] == 2
    assert one[1].count("\n") == len(recordings)
    assert len(one[2]) == 4  # what is wrong with each bad one
    assert voxrun(capsys, None, *recordings, *options, "--jobs", "3") == one
    assert voxrun(capsys, None, *recordings, *options) == one


def test_probabilities_are_those_of_one_by_one_unless_several_are_asked_for(capsys: Any) -> None:
    command = [str(FIRST), str(SECOND), str(THIRD), "--format", "json", "--alternatives", "2"]
    one = voxrun(capsys, None, *command, "--jobs", "1")
    default = voxrun(capsys, None, *command, "--stats")
    assert default[:2] == one[:2]
    assert not any("at once" in line for line in default[2])
    together = voxrun(capsys, None, *command, "--jobs", "3")
    figures = [re.findall(r'"probability": ([\d.e-]+)', run[1]) for run in (one, together)]
    rest = [re.sub(r'"probability": [\d.e-]+', "", run[1]) for run in (one, together)]
    assert rest[0] == rest[1]
    assert list(map(float, figures[0])) == pytest.approx(list(map(float, figures[1])), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [*(["--format", name] for name in WRITERS), ["--timestamps"]])
def test_files_are_those_of_one_by_one(
    capsys: Any, tmp_path: Path, recordings: list[str], options: list[str]
) -> None:
    one = voxrun(capsys, tmp_path / "one", *recordings, *options, "--jobs", "1")
    assert (one[0], len(one[3])) == (2, 4)  # the damaged one is written too
    assert voxrun(capsys, tmp_path / "several", *recordings, *options, "--jobs", "4") == one


Listen = Callable[[Session, Source], Iterator[Result]]


def delayed(monkeypatch: pytest.MonkeyPatch, name: str, true: Callable[[], bool]) -> None:
    """Hold a recording back until something holds, so that others overtake it."""
    original: Listen = several.listen

    def listen(session: Session, source: Source) -> Iterator[Result]:
        if source.name.endswith(name):
            until(true)
        yield from original(session, source)

    monkeypatch.setattr(several, "listen", listen)


def test_a_transcript_waits_for_its_turn_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    ended: list[str] = []
    followed = several.Several._document

    def document(self: several.Several, task: Any) -> several.Heard:
        heard = followed(self, task)
        ended.append(task.input.name)
        return heard

    monkeypatch.setattr(several.Several, "_document", document)
    delayed(monkeypatch, FIRST.name, lambda: len(ended) == 2)
    assert main([*MODEL, str(FIRST), str(SECOND), str(THIRD), "--jobs", "2"]) == 0
    assert ended[-1] == str(FIRST)
    assert capsys.readouterr().out.splitlines()[:2] == ["please try again", "you entered"]


def test_a_file_is_written_as_soon_as_its_recording_is_heard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    delayed(monkeypatch, FIRST.name, (tmp_path / "transfer.txt").exists)
    command = [*MODEL, str(FIRST), str(SECOND), str(THIRD), "--output", str(tmp_path), "--jobs", "2"]
    assert main(command) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_no_recording_is_heard_whose_place_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    heard: list[str] = []
    delayed(monkeypatch, "", lambda: heard.append("") or True)  # type: ignore[func-returns-value]
    monkeypatch.setattr(
        "voxrun.transcripts.output.os.access", lambda path, mode: not str(path).endswith(".txt")
    )
    (tmp_path / "transfer.txt").write_text("old", encoding="utf-8")
    assert main([*MODEL, str(FIRST), str(THIRD), "--output", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err == f"voxrun: {tmp_path}/transfer.txt: cannot be written (Permission denied)\n"
    )
    assert len(heard) == 1
    assert (tmp_path / "transfer.txt").read_text(encoding="utf-8") == "old"


def test_live_audio_is_heard_alone_in_its_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    fifos, begun, at_once_begun = [tmp_path / "one", tmp_path / "other"], set[Session](), list[int]()
    feed, finish = Session.feed, Session.finish

    def feeding(session: Session, samples: Any) -> Result:
        begun.add(session)
        return feed(session, samples)

    def finishing(session: Session) -> Result:
        at_once_begun.append(len(begun))
        begun.discard(session)
        return finish(session)

    monkeypatch.setattr(Session, "feed", feeding)
    monkeypatch.setattr(Session, "finish", finishing)
    for fifo in fifos:
        os.mkfifo(fifo)
        threading.Thread(target=lambda fifo=fifo: fifo.write_bytes(SECOND.read_bytes())).start()
    assert main([*MODEL, str(FIRST), *map(str, fifos), str(FIRST), "--jobs", "3"]) == 0
    lines = ["please try again", "you entered", "you entered", "please try again"]
    assert capsys.readouterr().out.splitlines() == lines
    assert at_once_begun == [1, 1, 1, 1]


def test_what_concerns_all_recordings_is_told_once(capsys: Any) -> None:
    assert main([*MODEL, str(FIRST), str(SECOND), "--delay-ms", "100", "--jobs", "2"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("voxrun: a delay of 100 ms is not possible")


@pytest.mark.parametrize("failing", [0, 1])
def test_no_thread_is_left_when_the_model_fails(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """The other recordings have no end, unless they are stopped."""
    fed: dict[Session, None] = {}
    given_up = threading.Event()

    def endless(source: Source) -> Iterator[np.ndarray]:
        while not (source.stopped or given_up.is_set()):
            yield np.zeros(1280, np.float32)

    def feed(session: Session, samples: Any) -> Result:
        fed.setdefault(session)
        if len(fed) == 2 and session is list(fed)[failing]:
            raise MemoryError("unforeseen")
        return Result()

    monkeypatch.setattr(FileSource, "_blocks", endless)
    monkeypatch.setattr(Session, "feed", feed)
    with pytest.raises(MemoryError):
        main([*MODEL, str(FIRST), str(SECOND), str(THIRD), "--jobs", "2"])
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("voxrun-hearing")]
    try:
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    finally:
        given_up.set()


def test_stats_count_all_recordings(capsys: Any) -> None:
    figures = []
    for jobs in ("1", "2"):
        assert main([*MODEL, str(FIRST), str(SECOND), str(THIRD), "--stats", "--jobs", jobs]) == 0
        lines = capsys.readouterr().err.splitlines()[1:]
        figures.append(dict(line.split(maxsplit=1) for line in lines))
    one, several = figures
    assert one["audio"] == several["audio"]
    assert one["decode"].split(" in ")[0] == several["decode"].split(" in ")[0]
    assert several["wall"].endswith(", 2 recordings at once")
    assert "at once" not in one["wall"]


@pytest.mark.parametrize(("memory", "n"), [(0, 1), (6.1, 3), (1e9, 8)])
def test_as_many_at_once_as_half_of_the_memory_holds(
    monkeypatch: pytest.MonkeyPatch, transcriber: Transcriber, memory: float, n: int
) -> None:
    one = at_once.session_bytes(transcriber.model)
    monkeypatch.setattr(at_once, "memory", lambda: memory * one)
    assert at_once.sessions_at_once(transcriber.model) == n


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(at_once, "CGROUP", tmp_path / "absent")
    machine = at_once.memory()
    monkeypatch.setattr(at_once, "CGROUP", tmp_path / "memory.max")
    for text, limit in (("max\n", machine), ("4096\n", 4096), (f"{2 * machine}\n", machine)):
        (tmp_path / "memory.max").write_text(text, encoding="ascii")
        assert at_once.memory() == limit

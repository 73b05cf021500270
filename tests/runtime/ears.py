"""The command as it runs, but for the model: it writes which samples it was given instead of words."""

import io
import math
import os
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from committed import CHECKPOINT

from voxrun.cli.main import main
from voxrun.stream.results import Result
from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber

MODEL = ["--model", str(CHECKPOINT)]
LOSS = re.compile(r"([\d.]+) s (?:of it )?(?:are|is) lost|ended ([\d.]+) s before")
LOST_IN_WORDS = re.compile(r"\blost\b|damaged|cut short|breaks off")


@dataclass(frozen=True)
class Heard:
    """What the command made of a recording."""

    code: int
    text: str
    """Stands for the transcript: equal for equal samples only."""
    samples: np.ndarray = field(repr=False)
    """[n], as the model was given them."""
    said: str
    """On stderr."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / 16000

    @property
    def lost(self) -> float:
        """Seconds told as lost; NaN: told without a figure; 0: nothing is told."""
        figures = [float(one or other) for one, other in LOSS.findall(self.said)]
        if figures:
            return sum(figures)
        return math.nan if self.samples.size and LOST_IN_WORDS.search(self.said) else 0.0


class Ears:
    """Runs the command on recordings, as files and through standard input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: Any, transcriber: Transcriber) -> None:
        self._capsys, self._given = capsys, []
        monkeypatch.setattr(Transcriber, "load", lambda folder: transcriber)
        monkeypatch.setattr(Session, "feed", lambda session, samples: self._take(samples))
        monkeypatch.setattr(Session, "flush", lambda session: Result())
        monkeypatch.setattr(Session, "finish", lambda session: Result(self._text()))

    def file(self, path: Path, *options: str) -> Heard:
        """`voxrun --audio PATH`."""
        return self._run([*MODEL, "--audio", str(path), *options])

    def pipe(self, data: bytes, *options: str) -> Heard:
        """`voxrun --audio - < DATA`."""
        with standard_input(data):
            return self._run([*MODEL, "--audio", "-", *options])

    def _run(self, arguments: list[str]) -> Heard:
        self._given = []
        code = main(arguments)
        out, said = self._capsys.readouterr()
        return Heard(code, out.strip(), self._samples(), said)

    def _take(self, samples: np.ndarray) -> Result:
        self._given.append(np.array(samples))
        return Result()

    def _samples(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.float32), *self._given])

    def _text(self) -> str:
        samples = self._samples()
        return "" if not len(samples) else f" {len(samples)} samples {zlib.crc32(np.round(samples * 4096).astype('<i4').tobytes()):08x}"


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """Descriptor 0 is a pipe that another thread writes into."""
    reader, writer = os.pipe()
    before = os.dup(0)

    def write() -> None:
        with io.FileIO(writer, "w") as file:
            try:
                for start in range(0, len(data), 50_000):
                    file.write(data[start : start + 50_000])
            except BrokenPipeError:
                pass  # the command had enough

    os.dup2(reader, 0)
    os.close(reader)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        os.dup2(before, 0)  # the pipe has no reader then
        os.close(before)
        thread.join()

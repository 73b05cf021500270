"""Fuzzing of the decoder: recordings of every container, changed in many ways, are heard or refused.

    python tests/fuzz/decoder.py --inputs 100000 --workers 2
    python tests/fuzz/decoder.py --first 4711 --inputs 1 --keep it.bin   # one of them again

Input `n` follows from `n` alone. Each is read as a file, through a pipe or as a Python object, in processes
that may die. A defect is whatever ends otherwise than with sound or with our error in one line: another
exception, a process that dies, more than 10 s, more than 300 MB.
"""

import argparse
import io
import logging
import os
import random
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from sound_corpus import seeds
from sound_mutations import mutated
from workers import Outcome, Try, try_all

from voxrun.audio.choice import Choice, Raw
from voxrun.audio.file import FileSource
from voxrun.audio.opened import open_audio
from voxrun.audio.pipe import PipeSource
from voxrun.audio.source import Source
from voxrun.errors import VoxrunError

RATE = 16000
LONGEST_SOUND = 3600
"""Seconds of sound from which an input counts as heard: damage may claim any length."""
PIPE_HOLDS = 60_000
"""Bytes that a pipe takes without a reader."""
LONGEST_MESSAGE = 1000


def main() -> int:
    args = _arguments()
    if args.keep:
        args.keep.write_bytes(input_of(seeds(), args.first)[0])
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory()) as folder:
        inputs = range(args.first, args.first + args.inputs)
        outcome = try_all(partial(trial, Path(folder)), inputs, args.workers)
    report(outcome)
    return int(bool(outcome.defects))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--keep", type=Path, help="write the first input to this file, too")
    return parser.parse_args()


def report(outcome: Outcome) -> None:
    """Print how many inputs ended how, and every defect."""
    for end, count in sorted(outcome.ends.items()):
        print(f"{count:9,}  {end}")
    (seconds, slow), (grown, large) = outcome.longest, outcome.largest
    print(f"{outcome.tried:,} inputs; longest {seconds:.1f} s ({slow}), largest {grown / 1e6:.0f} MB ({large})")
    for index, defect in sorted(outcome.defects):
        print(f"input {index}: {defect}")
    print(f"{len(outcome.defects)} defects")


def input_of(made: dict[str, bytes], index: int) -> tuple[bytes, str, Choice]:
    """Input `index`: its bytes, how they are given, and what of them is wanted."""
    chance = random.Random(index)
    data = mutated(made, chance)
    given = chance.choice(("file", "pipe", "object"))
    raw = Raw(chance.choice(("s16le", "mulaw", "g722", "f64be")), 8000, 2) if chance.random() < 0.02 else None
    choice = Choice(chance.choice((None,) * 8 + (1, 2)), chance.choice((None,) * 8 + (1, 2)), raw)
    return data, "file" if given == "pipe" and len(data) > PIPE_HOLDS else given, choice


def trial(folder: Path) -> Try:
    """What a worker does with each input; files are written into the folder."""
    made = seeds()
    logging.getLogger("voxrun").setLevel(logging.CRITICAL)
    warnings.simplefilter("error")  # a user would see them
    warnings.simplefilter("ignore", ResourceWarning)
    path = folder / str(os.getpid())

    def attempt(index: int) -> str:
        data, given, choice = input_of(made, index)
        descriptor = None
        try:
            if given == "pipe":
                descriptor = _filled(data)
            return f"{given}: {_listen(_source(data, given, choice, path, descriptor))}"
        except VoxrunError as error:
            return f"{given}: {checked(str(error))}"
        finally:
            if descriptor is not None:
                os.close(descriptor)

    return attempt


def _source(data: bytes, given: str, choice: Choice, path: Path, descriptor: int | None) -> Source:
    if descriptor is not None:
        return PipeSource(RATE, descriptor, choice)
    if given == "object":
        return open_audio(io.BytesIO(data), RATE, choice=choice)
    path.write_bytes(data)
    return FileSource(path, RATE, choice)


def _filled(data: bytes) -> int:
    """The reading end of a pipe that holds these bytes and ends behind them."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader


def _listen(source: Source) -> str:
    for _ in source:
        if source.heard > LONGEST_SOUND:
            return "heard for an hour"
    return "heard"


def checked(message: str) -> str:
    """The kind of a refusal. Raises AssertionError if it is not one short line."""
    if not message.isprintable() or not 0 < len(message) < LONGEST_MESSAGE:
        raise AssertionError(f"no sentence: {message[:200]!r}")
    return "refused"


def _memory() -> Any:
    """A folder that takes no disk, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())

"""A conversion that is killed at each of its moments in turn, then run again.

python killed_conversions.py FOLDER

A moment is before or after a write, a flush or a rename. Prints how many there are, and in how many cases
the next run went on within the shard.
"""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]  # as pytest has it

from artifacts import contents
from small_sources import ROOT, header_of, params_of, write_checkpoint

from voxbuild.convert import shards
from voxbuild.convert.shards import convert
from voxbuild.folders import Journal, whole_folder
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.tensors import checkpoint
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.writer import CheckpointWriter

PARAMS = params_of(dim=64, hidden=64, layers=1, vocabulary=64)
HEADER = header_of(PARAMS)
STEP = 11
"""Of the moments, only every so many-th."""


class Moments:
    """Counts moments; at the one of the given number the process is killed."""

    def __init__(self, last):
        self.count, self.last = 0, last
        for name in ("pwrite", "fsync", "replace"):
            setattr(os, name, self._watched(getattr(os, name)))
        CheckpointWriter._append = self._watched(CheckpointWriter._append)

    def _watched(self, function):
        def watched(*arguments):
            self._pass()
            given = function(*arguments)
            self._pass()
            return given

        return watched

    def _pass(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def converted(folder, plan):
    """Convert into `out` in the folder; whether it went on within the shard."""
    journal = Journal(folder / "partial/out", "same")
    with whole_folder(folder / "out", journal.folder, journal):
        begun = journal.begun
        with Checkpoint(folder.parent / "source") as file, closing(OnePass(file, hashing=True)) as stream:
            convert(plan, stream, journal, lambda nbytes: None)
    return begun is not None


def forked(function):
    """Run it in a process of its own; how that ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(function())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(folder):
    write_checkpoint(folder / "source", HEADER)
    plan = make_plan(read_book(ROOT / "recipes").recipe("4bit"), HEADER, PARAMS)
    shards.RECORD_BYTES, checkpoint.CHUNK_BYTES = 2**14, 2**13
    converted(folder / "expected", plan)  # it also loads the compiled loops for all that are forked
    expected, moment, resumed = contents(folder / "expected/out"), 1, 0
    while True:
        place = folder / str(moment)

        def killed(place=place, last=moment):
            Moments(last)
            converted(place, plan)
            return 0

        if forked(killed) == 0:
            break
        if not (place / "out").exists():
            resumed += forked(lambda place=place: converted(place, plan))
        assert contents(place / "out") == expected, moment
        assert not list((place / "partial").iterdir()), moment
        moment += STEP
    print(moment, resumed * STEP)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

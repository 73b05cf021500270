"""What a run hears, and where each transcript goes; decided before a model of gigabytes is loaded."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from voxrun.transcripts.output import Output, Stdout, output_at
from voxrun.transcripts.places import make_folder, places

from .sources import Input, inputs


@dataclass(frozen=True)
class Task:
    """A recording, or live audio, and the place of its transcript."""

    input: Input
    place: Path | None
    """The file of its transcript; None: standard output."""
    index: int
    """Counted from 0 in the order of the command line."""
    n: int
    """Tasks of the run."""

    def output(self) -> Output:
        """The output, in a folder that exists now. Raises OutputError."""
        if self.place is None:
            return Stdout(self.input.live)
        make_folder(self.place)
        return output_at(self.place, self.input.live)


def tasks(args: argparse.Namespace) -> list[Task]:
    """The tasks of a command line. Raises DeviceError, and OutputError where nothing can be written."""
    heard = inputs(args.audio, args.device, args.choice)
    names = [each.name for each in heard]
    files: list[Path] | list[None] = places(args.output, names, args.format) if args.output else []
    if not files:
        Stdout.check()
        files = [None] * len(heard)
    each = zip(heard, files, strict=True)
    return [Task(input, place, index, len(heard)) for index, (input, place) in enumerate(each)]


def groups(planned: list[Task]) -> Iterator[list[Task]]:
    """The tasks in order: recordings that may be heard at once, and live audio, each alone."""
    for live, members in groupby(planned, lambda task: task.input.live):
        if live:
            yield from ([task] for task in members)
        else:
            yield list(members)

"""What `voxrun` does after its options are parsed; importing this imports all libraries."""

import argparse
from collections import deque
from itertools import chain
from pathlib import Path

from voxrun.audio.microphone import input_devices
from voxrun.errors import VoxrunError
from voxrun.stream.at_once import sessions_at_once
from voxrun.transcriber import Transcriber
from voxrun.transcripts.output import Stdout, output_at
from voxrun.trust.locate import in_registry
from voxrun.trust.open import pinned_model, trusted
from voxrun.trust.pin import Pin

from .codes import DONE
from .hearing import Hearing, delay, reported, tell_interrupted
from .plan import Task, groups, tasks
from .screen import print_above, show_log
from .serial import OneByOne
from .several import Several
from .signals import Interruption
from .stats import Stats


def run(args: argparse.Namespace, interruption: Interruption) -> int:
    """Run the command; return its exit code."""
    show_log()
    try:
        if args.list_devices:
            with Stdout(live=False) as output:
                output.write("".join(f"{device}\n" for device in input_devices()))
            return DONE
        return Run(args, interruption).all()
    except VoxrunError as error:
        return reported(error)


class Run:
    """One run of the command: a model, then recordings, several at once, or live audio."""

    def __init__(self, args: argparse.Namespace, interruption: Interruption) -> None:
        self._args, self._interruption, self._stats = args, interruption, Stats()
        # What cannot be done is reported before a model of gigabytes is loaded for nothing.
        self._tasks = tasks(args)
        self._model = pinned_model(args.lock) if args.model is None else args.model
        self._transcriber = self._open()
        self._stats.loaded(self._model, self._transcriber.model, delay(args, self._transcriber))

    def _open(self) -> Transcriber:
        args = self._args
        verify = args.verify or args.write_lock is not None
        folder = trusted(self._model, args.revision, args.registry, verify, args.lock)
        transcriber = Transcriber.load(folder)
        self._interruption.at_once = False  # from now on there may be something to clean up
        if args.write_lock:
            write_lock(Pin.of(folder, in_registry(self._model, args.registry)), args.write_lock)
        return transcriber

    def all(self) -> int:
        """Transcribe everything; return the exit code."""
        waiting = deque(groups(self._tasks))
        code = DONE
        try:
            while waiting:
                group = waiting.popleft()
                code = max(code, self._hearing(group).hear(group))
            return code
        except KeyboardInterrupt:
            if not self._interruption.aborting:
                for task in chain(*waiting):
                    tell_interrupted(task)
            raise
        finally:
            if self._args.stats:
                print_above(f"voxrun: stats\n{self._stats.report()}")

    def _hearing(self, group: list[Task]) -> Hearing:
        """Who hears a group of tasks: recordings several at once, live audio and a single one alone."""
        jobs = self._args.jobs or self._default_jobs()
        setting = self._args, self._model, self._transcriber, self._interruption, self._stats
        jobs = min(jobs, len(group))
        return Several(*setting, jobs=jobs) if jobs > 1 else OneByOne(*setting)

    def _default_jobs(self) -> int:
        """One if probabilities are written: their last digits depend on what is computed in the same pass."""
        return 1 if self._args.alternatives else sessions_at_once(self._transcriber.model)


def write_lock(pin: Pin, path: Path) -> None:
    """Write a voxrun.lock, completely or not at all. Raises OutputError."""
    with output_at(path, live=False) as output:
        output.write(pin.text)

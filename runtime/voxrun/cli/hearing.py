"""What hearing one recording after another and hearing several at once have in common."""

import argparse
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

from voxrun.audio.source import Source, log
from voxrun.errors import AudioError, OutputError, VoxrunError
from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber
from voxrun.transcripts.output import Output
from voxrun.transcripts.writer import Recording, Writer
from voxrun.transcripts.writers import WRITERS

from .codes import BAD
from .plan import Task
from .signals import Interruption
from .stats import Stats


class Hearing(ABC):
    """Hears the tasks of a run and writes their transcripts."""

    def __init__(
        self,
        args: argparse.Namespace,
        model: str,
        transcriber: Transcriber,
        interruption: Interruption,
        stats: Stats,
    ) -> None:
        """`model`: its name in the transcripts."""
        self._args, self._model, self._transcriber = args, model, transcriber
        self._interruption, self._stats = interruption, stats
        self._output: Output | None = None
        self._begun: dict[Task, Source] = {}
        """Recordings that are not heard to their end yet."""
        self._over: set[Task] = set()
        """Those that are, and those that cannot be heard, which was told."""

    def hear(self, tasks: Sequence[Task]) -> int:
        """Hear the tasks and write their transcripts; return the exit code.

        A bad recording or place does not stop the others. Raises KeyboardInterrupt after a signal, and
        VoxrunError for what concerns all tasks.
        """
        try:
            return self._hear(tasks)
        except KeyboardInterrupt:
            if self._output:
                self._output.abort()
            if not self._interruption.aborting:
                for task in tasks:
                    if task not in self._over:
                        tell_interrupted(task, self._begun.get(task))
            raise

    @abstractmethod
    def _hear(self, tasks: Sequence[Task]) -> int:
        """The same, but for an output that is half done."""

    def _session(self, live: bool) -> Session:
        return self._transcriber.session(
            delay_ms=self._args.delay_ms,
            temperature=self._args.temp,
            seed=self._args.seed,
            alternatives=self._args.alternatives,
            unstick=self._args.unstick,
            live=live,
        )

    def _seconds(self, session: Session) -> float:
        """Seconds that a session has transcribed."""
        return (
            session.n_tokens
            * self._transcriber.model.config.audio.samples_per_position
            / self._transcriber.rate
        )

    def _output_of(self, task: Task) -> Output:
        self._output = task.output()
        return self._output

    def _writer(self, task: Task) -> Writer:
        live, layout = task.input.live, self._args.layout
        watched = live and task.place is None and _is_watched()
        kind = WRITERS[self._args.format].kind(live, watched, layout)
        delay_ms = delay(self._args, self._transcriber)
        return kind(Recording(task.input.name, self._model, delay_ms), layout)

    def _failed(self, task: Task, error: AudioError | OutputError) -> int:
        """Report an error of one task, also in its place on standard output; return the exit code.

        Raises the error if it concerns all tasks.
        """
        if task.place is None:
            if isinstance(error, OutputError):  # standard output, which all others share
                raise error
            if not task.input.live:
                with self._output_of(task) as output:
                    output.write(self._writer(task).failure(error))
        return reported(error)


def tell_interrupted(task: Task, source: Source | None = None) -> None:
    """Tell how much of a recording was heard before a signal, and whether that leaves its file unwritten."""
    heard = f"interrupted after {source.heard:.1f} s" if source and source.heard else "not heard"
    rest = "" if task.place is None else f"; {task.place} is not written"
    log.warning("%s: %s%s", task.input.name, heard, rest)


def delay(args: argparse.Namespace, transcriber: Transcriber) -> float:
    """The delay of all sessions in milliseconds."""
    return transcriber.tokenizer.default_delay_ms if args.delay_ms is None else float(args.delay_ms)


def reported(error: VoxrunError) -> int:
    """Report an error; return the exit code."""
    log.error("%s", error)
    return BAD


def _is_watched() -> bool:
    """Whether stderr shows the words in progress on the same terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))

"""Hear several recordings at once, each in a thread with a session of its own; the main thread writes."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.audio.source import Source
from voxrun.errors import AudioError, OutputError
from voxrun.stream.session import Session
from voxrun.transcriber import listen
from voxrun.transcripts.output import check_place, is_special
from voxrun.transcripts.places import make_folder
from voxrun.transcripts.writer import Document

from .codes import BAD, DONE
from .hearing import Hearing
from .plan import Task
from .screen import Overall

MOST_UNWRITTEN = 1000
"""Recordings that are heard or being heard and wait for their turn on standard output."""


@dataclass
class Heard:
    """What a thread made of a recording; it does not keep the session, which holds much memory."""

    text: str = ""
    whole: bool = True
    stopped: bool = False
    """Whether a signal ended it early."""
    error: AudioError | OutputError | None = None
    figures: tuple[float, int, int] = (0.0, 0, 0)
    """Seconds of audio, tokens, and passes of the decoder."""


class Several(Hearing):
    """Hears recordings in threads. A signal stops all of them, as it stops a single source."""

    def __init__(self, *setting: Any, jobs: int) -> None:
        """`setting`: that of Hearing; `jobs`: most recordings at once."""
        super().__init__(*setting)
        self._jobs, self._pool = jobs, ThreadPoolExecutor(jobs, thread_name_prefix="voxrun-hearing")
        self._screen: Overall
        self._sources: list[Source] = []
        self.stopped = False

    def stop(self) -> None:
        """Begin no other recording, and end those that are being heard, as if their audio ended there."""
        self.stopped = True
        for source in tuple(self._sources):
            source.stop()

    def _hear(self, tasks: Sequence[Task]) -> int:
        self._interruption.source = self
        self._stats.start(min(self._jobs, len(tasks)))
        try:
            with Overall(len(tasks)) as self._screen:
                code = max((self._write(task, heard) for task, heard in self._each(tasks)), default=DONE)
            if self.stopped:
                raise KeyboardInterrupt
            return code
        finally:
            self._interruption.source = None
            self.stop()  # after an error the threads end with their next block
            self._pool.shutdown(wait=False)
            self._stats.stop()

    def _each(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Heard]]:
        """All that were begun: those for standard output in turn, others as soon as they are heard."""
        waiting, begun = deque(tasks), dict[Task, Future[Heard]]()
        while begun or (waiting and not self.stopped):
            running = {future for future in begun.values() if not future.done()}
            for future in begun.values():
                if future not in running and (error := future.exception()):
                    raise error  # at once: those before it in turn may take long
            for task, future in tuple(begun.items()):
                if future not in running:
                    yield task, begun.pop(task).result()
                elif task.place is None:
                    break
            if waiting and not self.stopped and len(running) < self._jobs and len(begun) < MOST_UNWRITTEN:
                task = waiting.popleft()
                begun[task] = self._pool.submit(self._document, task)
            elif running:
                wait(running, return_when=FIRST_COMPLETED)

    def _document(self, task: Task) -> Heard:
        """In a thread: the transcript of a recording, or what is wrong with it. Raises VoxrunError."""
        heard = Heard()
        try:
            if task.place is not None:
                _check(task.place)  # before it is heard for nothing
            source, session = task.input.open(self._transcriber.rate), self._session(live=False)
        except (AudioError, OutputError) as error:
            self._screen.skip()
            return Heard(error=error)
        try:
            with self._followed(task, source, session, heard):
                document = Document(self._writer(task))
                pieces = [document.begin(), *map(document.add, listen(session, source))]
                heard.text = "".join([*pieces, document.end(source.heard)])
        except (AudioError, OutputError) as error:
            heard.error = error
        return heard

    @contextmanager
    def _followed(self, task: Task, source: Source, session: Session, heard: Heard) -> Iterator[None]:
        """While a source is heard: signals stop it, the screen shows it; then `heard` gets its figures."""
        self._begun[task] = source
        self._sources.append(source)
        if self.stopped:
            source.stop()
        self._screen.begin(source, lambda: self._seconds(session))
        try:
            yield
        finally:
            self._screen.end(source)
            self._sources.remove(source)
            heard.whole, heard.stopped = source.whole, source.stopped
            heard.figures = source.heard, session.n_tokens, session.n_passes

    def _write(self, task: Task, heard: Heard) -> int:
        """Write a transcript; return the recording's exit code."""
        self._stats.add(*heard.figures)
        if heard.error or not heard.stopped:
            self._over.add(task)
            self._begun.pop(task, None)
        if heard.error:
            return self._failed(task, heard.error)
        if heard.stopped and task.place:
            return DONE  # KeyboardInterrupt follows
        try:
            with self._output_of(task) as output:
                output.write(heard.text)
        except OutputError as error:
            return self._failed(task, error)
        return DONE if heard.whole else BAD


def _check(place: Path) -> None:
    """Raises OutputError if no file can be written to a place."""
    make_folder(place)
    if not is_special(place):
        check_place(place)

"""Hear one recording after another, or live audio whose words are written as they come."""

from collections.abc import Sequence

from voxrun.audio.source import Source
from voxrun.errors import AudioError, DeviceError, OutputError, VoxrunError
from voxrun.transcriber import listen
from voxrun.transcripts.output import Output
from voxrun.transcripts.writer import Document

from .codes import BAD, DONE
from .hearing import Hearing
from .plan import Task
from .screen import SourceScreen, screen_for


class OneByOne(Hearing):
    """Hears tasks in turn."""

    def _hear(self, tasks: Sequence[Task]) -> int:
        return max(map(self._try, tasks))

    def _try(self, task: Task) -> int:
        try:
            code = DONE if self._transcribe(task) else BAD
        except (AudioError, OutputError) as error:
            code = self._failed(task, error)
        self._over.add(task)
        return code

    def _transcribe(self, task: Task) -> bool:
        """Returns whether nothing of the recording is missing."""
        source = self._begun[task] = task.input.open(self._transcriber.rate)
        screen = screen_for(source, task.input.name, task.index, task.n)
        with self._output_of(task) as output, screen:
            failure = self._listen(source, Document(self._writer(task)), output, screen)
            stopped = source.stopped and not source.live
            if stopped and task.place:
                raise KeyboardInterrupt  # here, so that the output is discarded
        if stopped:
            raise KeyboardInterrupt
        if failure:
            raise failure
        return source.whole

    def _listen(
        self, source: Source, document: Document, output: Output, screen: SourceScreen
    ) -> VoxrunError | None:
        """Transcribe a source to its end, or to the failure of a live one, which is returned."""
        session, failure = self._session(source.live), None
        screen.done = lambda: self._seconds(session)
        self._interruption.source = source
        self._stats.start()
        try:
            output.write(document.begin())
            for result in listen(session, source):
                text = document.add(result)
                screen.show(document.saying)
                output.write(text)
        except (AudioError, DeviceError) as error:
            if not (source.live and source.heard):
                raise
            failure = error
        finally:
            self._interruption.source = None
            self._stats.stop()
            self._stats.add(source.heard, session.n_tokens, session.n_passes)
        output.write(document.end(source.heard))
        return failure

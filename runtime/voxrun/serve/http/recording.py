"""An upload as blocks of samples, decoded in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.datastructures import UploadFile

from voxrun.arrays import FloatArray
from voxrun.audio.opened import FileObject
from voxrun.audio.recorded import StreamSource
from voxrun.audio.source import log
from voxrun.errors import AudioError
from voxrun.messages import sentence
from voxrun.serve.errors import Kind, RefusedError

T = TypeVar("T")


class _Warnings(logging.Filter):
    """Takes the warnings of threads that decode uploads out of the log: they are for the client."""

    def __init__(self) -> None:
        super().__init__()
        self.of_thread: dict[int | None, list[str]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record goes to the log; called in its own thread."""
        sentences = self.of_thread.get(record.thread)
        if sentences is not None:
            sentences.append(record.getMessage())
        return sentences is None


WARNINGS = _Warnings()
log.addFilter(WARNINGS)


class Recording:
    """Decodes a block when it is asked for one; FFmpeg stays in one thread, the event loop stays free."""

    def __init__(self, upload: UploadFile, name: str, rate: int) -> None:
        self._upload, self._name, self._rate = upload, name, rate
        self._thread = ThreadPoolExecutor(1, "upload", initializer=self._begin)
        self.warnings: list[str] = []
        """What is wrong with the recording, as far as it was heard: lost seconds, silence."""
        self._source: StreamSource | None = None
        self._blocks: Iterator[FloatArray] = iter(())

    @property
    def seconds(self) -> float:
        """Of sound so far."""
        return self._source.heard if self._source else 0.0

    async def open(self) -> None:
        """Find out what it is. Raises RefusedError if it is no audio."""
        await self._run(self._open)

    async def blocks(self) -> AsyncGenerator[FloatArray, None]:
        """Blocks [n] at the rate; an empty one is a pause. Raises RefusedError for what cannot be read."""
        while (block := await self._run(self._next)) is not None:
            yield block

    async def close(self) -> None:
        """Wait until nothing reads the upload any more."""
        if self._source is not None:
            self._source.stop()
        ending = asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=False)
        await asyncio.wait([ending])

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except AudioError as error:
            raise RefusedError(Kind.INVALID_AUDIO, str(error), "file") from error

    def _begin(self) -> None:
        WARNINGS.of_thread[threading.get_ident()] = self.warnings

    def _open(self) -> None:
        name = sentence(self._name, 200)
        self._source = StreamSource(FileObject(self._upload.file), name, self._rate, size=self._upload.size)
        self._blocks = iter(self._source)

    def _next(self) -> FloatArray | None:
        return next(self._blocks, None)

    def _end(self) -> None:
        WARNINGS.of_thread.pop(threading.get_ident(), None)
        close: Any = getattr(self._blocks, "close", None)
        if close is not None:
            close()


@asynccontextmanager
async def opened(upload: UploadFile, name: str, rate: int) -> AsyncIterator[Recording]:
    """A recording that is closed at the end. Raises RefusedError if it is no audio."""
    recording = Recording(upload, name, rate)
    try:
        await recording.open()
        yield recording
    finally:
        await recording.close()

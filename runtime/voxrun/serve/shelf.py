"""The model: loaded when it is needed, and unloaded when nobody has needed it for a while."""

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from voxrun.checkpoint.layout import TOKENIZER_FILE
from voxrun.device import mx
from voxrun.errors import VoxrunError
from voxrun.mlx_thread import submit
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

from .errors import Kind, RefusedError
from .metrics import Metrics
from .settings import Settings

log = logging.getLogger("voxrun")


class Shelf:
    """Holds the model of a server."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._folder, self._metrics = settings.folder, metrics
        self._idle = None if settings.idle_unload is None else 60 * settings.idle_unload
        self._transcriber: Transcriber | None = None
        self._tokenizer: Tokenizer | None = (
            None  # kept when the model goes: 9 MB, and half the time of loading
        )
        self._tokenizer_file: tuple[int, ...] = ()  # which it was read from
        self._loading: asyncio.Task[Transcriber] | None = None
        self._unloading: asyncio.TimerHandle | None = None
        self._lent = 0
        metrics.gauge("voxrun_model_loaded", "Whether the model is in memory", lambda: self.loaded)

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._transcriber is not None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Transcriber]:
        """The model, which stays loaded while it is lent. Raises RefusedError if it cannot be loaded."""
        self._lent += 1
        self._keep()
        try:
            try:
                transcriber = await self._loaded()
            except VoxrunError as error:
                raise RefusedError(Kind.FAILED, f"the model cannot be loaded ({error})") from error
            yield transcriber
        finally:
            self._lent -= 1
            self._unload_later()

    async def load(self) -> None:
        """Load it now. Raises VoxrunError."""
        await self._loaded()
        self._unload_later()

    async def _loaded(self) -> Transcriber:
        if self._transcriber is not None:
            return self._transcriber
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        return await asyncio.shield(self._loading)  # others may wait for it, too

    async def _load(self) -> Transcriber:
        file = self._file_of_tokenizer()
        kept = self._tokenizer if file == self._tokenizer_file else None
        try:
            self._transcriber = await asyncio.to_thread(Transcriber.load, self._folder, kept)
        except VoxrunError as error:
            log.error("the model cannot be loaded: %s", error)
            raise
        self._tokenizer, self._tokenizer_file = self._transcriber.tokenizer, file
        self._metrics.loads.inc()
        return self._transcriber

    def _file_of_tokenizer(self) -> tuple[int, ...]:
        """What changes with the file."""
        try:
            found = (self._folder / TOKENIZER_FILE).stat()
        except OSError:  # loading says what is wrong
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _keep(self) -> None:
        if self._unloading is not None:
            self._unloading.cancel()
            self._unloading = None

    def _unload_later(self) -> None:
        self._keep()
        if self._idle is not None and not self._lent:
            self._unloading = asyncio.get_running_loop().call_later(self._idle, self._unload)

    def _unload(self) -> None:
        if self._loading is not None and not self._loading.done():  # for somebody who has gone
            self._unload_later()
        elif self._transcriber is not None:
            held, self._transcriber, self._loading = [self._transcriber], None, None
            submit(_free, held)
            log.info("unloaded the model, after %g minutes without a session", (self._idle or 0) / 60)


def _free(held: list[Transcriber]) -> None:
    """In MLX's thread: drop the model, and give its memory back."""
    held.clear()
    gc.collect()
    mx.clear_cache()
    if sys.platform == "linux":
        with suppress(AttributeError):  # only glibc keeps what is freed, and has this function
            ctypes.CDLL(None).malloc_trim(0)

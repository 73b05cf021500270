"""The model, loaded when it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voxrun.transcriber import Transcriber

from .settings import Settings


class Shelf:
    """Holds the model of a server."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder
        self._transcriber: Transcriber | None = None
        self._loading = asyncio.Lock()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Transcriber]:
        """The model, which stays loaded for as long as it is lent. Raises VoxrunError."""
        async with self._loading:
            if self._transcriber is None:
                self._transcriber = await asyncio.to_thread(Transcriber.load, self._folder)
        yield self._transcriber

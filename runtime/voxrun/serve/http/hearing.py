"""One recording through a live session: blocks in, results out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

from voxrun.serve.errors import RefusedError
from voxrun.serve.live import LiveSession
from voxrun.serve.service import Service
from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber

from .fields import Wish
from .recording import Recording, opened


class Hearing:
    """A recording that the model hears."""

    def __init__(self, recording: Recording, live: LiveSession) -> None:
        self._recording, self._live = recording, live

    @property
    def transcriber(self) -> Transcriber:
        """The model."""
        return self._live.transcriber

    @property
    def seconds(self) -> float:
        """Of sound so far."""
        return self._recording.seconds

    @property
    def n_tokens(self) -> int:
        """Tokens so far: one for each position of 80 ms."""
        return self._live.n_tokens

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the recording."""
        return self._recording.warnings

    async def results(self) -> AsyncGenerator[Result, None]:
        """What the model writes, to the end. Raises RefusedError."""
        feeding = asyncio.create_task(self._feed())
        try:
            async for told in self._live:
                if isinstance(told, Result):
                    yield told
            await feeding
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(self) -> None:
        try:
            async with aclosing(self._recording.blocks()) as blocks:
                async for block in blocks:
                    if len(block):
                        await self._live.hear(block)
                    else:
                        self._live.flush()
            self._live.finish()
        except BaseException:
            self._live.cancel()  # which ends the results
            raise


@asynccontextmanager
async def heard(service: Service, wish: Wish, alternatives: int) -> AsyncIterator[Hearing]:
    """The upload, as soon as it is known to be audio and has a session. Raises RefusedError."""
    async with service.shelf.lent() as transcriber:
        rate = transcriber.rate
    options: dict[str, Any] = {
        "delay_ms": wish.delay_ms,
        "temperature": wish.temperature,
        "alternatives": alternatives,
    }
    async with AsyncExitStack() as stack:
        recording = await stack.enter_async_context(opened(wish.file, wish.name, rate))
        try:
            live = await stack.enter_async_context(service.session(accepted=True, live=False, **options))
        except RefusedError as refusal:
            param = wish.delay_field if refusal.param == "delay_ms" else refusal.param
            raise RefusedError(refusal.kind, str(refusal), param) from refusal
        yield Hearing(recording, live)

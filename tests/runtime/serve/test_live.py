"""A live session by itself, without a protocol."""

import asyncio
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from voxrun.serve import live as live_module
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession
from voxrun.serve.metrics import Metrics
from voxrun.transcriber import Transcriber

SECOND = np.zeros(16000, np.float32)


def test_audio_that_comes_after_the_model_failed_raises_nothing_and_the_failure_is_told_once(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise MemoryError("no memory")

    async def conversation() -> None:
        live = LiveSession(transcriber, 0.5, Metrics().session("test"))
        await live.begin()
        future = live._session.feed_later(SECOND)
        with pytest.raises(MemoryError):
            await asyncio.wrap_future(future)
        hearing = asyncio.create_task(live.hear(SECOND))  # waits, as for a model that is slow
        live.flush()
        live.finish()
        with pytest.raises(RefusedError, match="no memory") as refused:
            async for _ in live:
                pass
        assert refused.value.kind is Kind.FAILED
        live.cancel()
        await asyncio.wait_for(hearing, PATIENCE)

    monkeypatch.setattr(type(transcriber.model), "encode_all", fail)
    asyncio.run(conversation())


def test_audio_waits_while_nobody_takes_what_the_model_says(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 40

    async def conversation() -> None:
        live = LiveSession(transcriber, 0.5, Metrics().session("test"))
        await live.begin()

        async def speak() -> None:
            for _ in range(n):
                await live.hear(SECOND)
            live.finish()

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(PATIENCE):
            while live._told.qsize() <= 2 or live.waiting:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert live.seconds < n / 2
        assert not speaking.done()
        async with asyncio.timeout(PATIENCE):
            async for _ in live:
                pass
        assert live.seconds == n
        await speaking

    monkeypatch.setattr(live_module, "MOST_TOLD", 2)
    asyncio.run(conversation())

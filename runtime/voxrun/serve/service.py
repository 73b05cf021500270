"""The session service: who may open a session, on which model, and how many there are."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from voxrun.errors import VoxrunError
from voxrun.transcriber import Transcriber

from .errors import Kind, RefusedError
from .live import LiveSession
from .metrics import Metrics
from .settings import Settings
from .shelf import Shelf
from .socket import Socket

POLL = 0.05
"""Seconds between two looks at whether all have ended."""
HOTTEST = 2
"""The highest temperature, as OpenAI's; above it there is little but noise."""


class Service:
    """Opens sessions for all protocols."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.shelf = Shelf(settings, self.metrics)
        self.sessions = 0
        """Open now."""
        self.ending = False
        """Whether no new session may begin."""
        self._sockets = set[Socket]()  # of the conversations in progress
        self._requests = 0  # over HTTP, with a recording
        self._live = set[LiveSession]()
        self.metrics.gauge(
            "voxrun_waiting_audio_seconds",
            "Audio that the model has not heard yet, of all sessions",
            lambda: sum(live.waiting for live in self._live),
        )

    async def prepare(self) -> None:
        """Load the model and try the default delay, before there are clients. Raises VoxrunError."""
        await self.shelf.load()
        await self.check(delay_ms=self.settings.delay_ms)

    async def check(self, **options: Any) -> None:
        """Raise RefusedError if no session can have these options."""
        _check_temperature(options)
        async with self.shelf.lent() as transcriber:
            try:
                session = await asyncio.to_thread(transcriber.session, **options)
            except VoxrunError as error:
                raise _refused(transcriber, options, error) from error
            session.cancel()

    @asynccontextmanager
    async def session(
        self, *, protocol: str = "http", accepted: bool = False, **options: object
    ) -> AsyncIterator[LiveSession]:
        """A live session, closed and counted out at the end; `protocol` names it in the metrics.

        `accepted`: it is for a request that had begun before the server was to end. Raises RefusedError.
        """
        _check_temperature(options)
        if options.get("delay_ms") is None:
            options["delay_ms"] = self.settings.delay_ms
        async with self.place(accepted), self.shelf.lent() as transcriber:
            with self.metrics.session(protocol) as meter:
                live = LiveSession(transcriber, self.settings.limits.waiting_seconds, meter)
                try:
                    await live.begin(**options)
                except VoxrunError as error:
                    raise _refused(transcriber, options, error) from error
                self._live.add(live)
                try:
                    yield live
                finally:
                    self._live.discard(live)
                    live.cancel()

    @asynccontextmanager
    async def place(self, accepted: bool = False) -> AsyncIterator[None]:
        """One of the places of `Limits.sessions`, for a session or an upload. Raises RefusedError."""
        if self.ending and not accepted:
            raise RefusedError(Kind.ENDING, "the server is ending; connect again later")
        if self.sessions >= self.settings.limits.sessions:
            raise RefusedError(Kind.OVERLOADED, f"all {self.sessions} sessions are taken; try again later")
        self.sessions += 1
        try:
            yield
        finally:
            self.sessions -= 1

    @contextmanager
    def talking(self, socket: Socket) -> Iterator[None]:
        """A conversation is in progress at this socket; it is told when the server ends."""
        self._sockets.add(socket)
        try:
            yield
        finally:
            self._sockets.discard(socket)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A request is in progress, from the first byte of its upload to the last one of its answer."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def end(self, seconds: float) -> bool:
        """Let no new session begin, and have the open ones finish; whether all did within these seconds."""
        self.ending = True
        for socket in self._sockets:
            socket.end()
        try:
            async with asyncio.timeout(seconds):
                while self._sockets or self._requests or self.sessions:
                    await asyncio.sleep(POLL)
        except TimeoutError:
            return False
        return True


def _check_temperature(options: Mapping[str, object]) -> None:
    """Raises RefusedError."""
    temperature = options.get("temperature", 0)
    if isinstance(temperature, int | float) and not 0 <= temperature <= HOTTEST:
        raise RefusedError(
            Kind.INVALID_REQUEST, f"temperature must be a number from 0 to {HOTTEST}", "temperature"
        )


def _refused(transcriber: Transcriber, options: dict[str, Any], error: VoxrunError) -> RefusedError:
    """The refusal of options that no session can have; it names the one that is impossible by itself."""
    for name, value in options.items():
        try:
            transcriber.session(**{name: value}).cancel()
        except VoxrunError:
            return RefusedError(Kind.INVALID_REQUEST, str(error), name)
    return RefusedError(Kind.INVALID_REQUEST, str(error))

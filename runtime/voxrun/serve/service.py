"""The session service: who may open a session, on which model, and how many there are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voxrun.errors import VoxrunError

from .errors import Kind, RefusedError
from .live import LiveSession
from .settings import Settings
from .shelf import Shelf


class Service:
    """Opens sessions for all protocols."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.shelf = settings, Shelf(settings)
        self.sessions = 0
        """Open now."""
        self.ending = False
        """Whether no new session may begin."""

    @asynccontextmanager
    async def session(self, **options: object) -> AsyncIterator[LiveSession]:
        """A live session, closed and counted out at the end. Raises RefusedError."""
        async with self.place(), self.shelf.lent() as transcriber:
            live = LiveSession(transcriber, self.settings.limits.waiting_seconds)
            try:
                await live.begin(**options)
            except VoxrunError as error:
                raise RefusedError(Kind.INVALID_REQUEST, str(error)) from error
            try:
                yield live
            finally:
                live.cancel()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places of `Limits.sessions`, for a session or an upload. Raises RefusedError."""
        if self.ending:
            raise RefusedError(Kind.ENDING, "the server is ending; connect again later")
        if self.sessions >= self.settings.limits.sessions:
            raise RefusedError(Kind.OVERLOADED, f"all {self.sessions} sessions are taken; try again later")
        self.sessions += 1
        try:
            yield
        finally:
            self.sessions -= 1

"""What a session's caller asks for, in a queue: samples, a flush or the end, and the future of the result."""

from concurrent.futures import Future
from dataclasses import dataclass, field

from voxrun.arrays import FloatArray

from .results import Result


@dataclass
class Call:
    """A queued feed, flush or finish."""

    samples: FloatArray
    """Of the stream, not yet taken: the caller's, or silence."""
    is_audio: bool = False
    """Whether they are the caller's."""
    flushes: bool = False
    finishes: bool = False
    limits: tuple[int, int] = (0, 0)
    """Tokens in all, and of the draft, of a stream that this finishes."""
    future: "Future[Result]" = field(default_factory=Future)
    results: list[Result] = field(default_factory=list)
    end: int | None = None
    """The position of the stream up to which it goes, once all its samples were taken."""

    def answer(self, outcome: Result | BaseException) -> None:
        """Give the caller the result or the error, unless the future was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        if isinstance(outcome, Result):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)

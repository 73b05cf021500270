"""Turns in a session's audio, and what is written between their beginnings and ends."""

from collections.abc import Iterable, Iterator

from voxrun.arrays import FloatArray
from voxrun.stream.levels import Levels
from voxrun.stream.results import Result, Word
from voxrun.stream.turns import Event, Pause, Said, Spoken, Started, Stopped, Turns

from .live import LiveSession

Part = Result | Started | Stopped


class Speech:
    """Follows one session, from its first audio on."""

    def __init__(self, live: LiveSession, pause: Pause | None) -> None:
        """`pause`: the silence that ends a turn; None: there are no turns."""
        self._rate, self._n = live.transcriber.rate, 0
        self._levels = Levels(self._rate)
        self._turns = pause and Turns(live.transcriber.tokenizer, pause, self._levels.quiet_since)

    @property
    def seconds(self) -> float:
        """Of the audio so far."""
        return self._n / self._rate

    def hear(self, samples: FloatArray) -> None:
        """Samples [n] that the session is about to hear."""
        self._n += len(samples)
        if self._turns:
            self._levels.hear(samples)

    def feed(self, result: Result) -> Iterator[Part]:
        """A result of the session, in parts."""
        return _divided(self._turns.feed(result.tokens)) if self._turns else iter([result])

    def flushed(self, at: float) -> Iterator[Part]:
        """What else there is, once the session was flushed when it had these seconds of audio."""
        return _divided(self._turns.flushed(at)) if self._turns else iter(())


def _divided(events: Iterable[Event]) -> Iterator[Part]:
    text, words = "", list[Word]()
    for event in events:
        match event:
            case Said():
                text += event.text
            case Spoken():
                words.append(event.word)
            case Started() | Stopped():
                yield Result(text, tuple(words))
                yield event
                text, words = "", []
    yield Result(text, tuple(words))

"""Which words of a long stream belong to which clip, and how right they are."""

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from soak_audio import Piece, Speech

from voxbuild.statistics.errors import count_errors
from voxbuild.statistics.normalise import normaliser_for
from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber


@dataclass
class Heard:
    """A piece in the stream, and the words that ended in it."""

    said: str
    sound_end: float
    """Seconds of the stream."""
    end: float
    last_word: float | None = None
    text: str = ""


class Aligner:
    """Words arrive behind the audio: a piece is done when a word or the clock is past its end."""

    LATEST = 5.0
    """Seconds after which no word of a piece is still in the making."""

    def __init__(self) -> None:
        self._open: deque[Heard] = deque()
        self._done: list[Heard] = []

    def expect(self, piece: Piece, start: float, rate: int) -> None:
        """It begins at `start` seconds of the stream."""
        end = start + len(piece.samples) / rate
        self._open.append(Heard(piece.said, start + piece.sound_end / rate, end))

    def hear(self, result: Result) -> None:
        """Put each word into the piece in which it ended."""
        for word in result.words:
            self._close(word.end)
            self._open[0].text += word.text
            self._open[0].last_word = word.end
        if result.tokens:
            self._close(result.tokens[-1].end - self.LATEST)

    def _close(self, time: float) -> None:
        while len(self._open) > 1 and self._open[0].end <= time:
            self._done.append(self._open.popleft())

    def take(self) -> list[Heard]:
        """The pieces that were done since the last call."""
        done, self._done = self._done, []
        return done


def wer(said: Sequence[str], heard: Sequence[str]) -> float:
    """Per cent; joined, so that a word at the border of two clips is no two errors."""
    return (
        count_errors(" ".join(said), " ".join(heard), normaliser_for("en", digits=True)).wer if said else 0.0
    )


def word_end(pieces: Sequence[Heard]) -> float:
    """Median seconds from a clip's end to its last word's: it must not move, or the clock drifts."""
    ends = [piece.last_word - piece.sound_end for piece in pieces if piece.last_word is not None]
    return statistics.median(ends) if ends else 0.0


def alone(transcriber: Transcriber, speech: Speech, index: int) -> tuple[str, str]:
    """What is said in a piece, and what a session of its own hears."""
    piece = speech.piece(index)
    session = transcriber.session(live=True)
    return piece.said, session.feed(piece.samples).text + session.finish().text


def comparison(said: Sequence[str], stream: Sequence[str], pieces: Sequence[str], shown: int = 5) -> str:
    """How far the stream's texts are those of the pieces on their own."""
    pairs = [(" ".join(a.split()), " ".join(b.split())) for a, b in zip(stream, pieces, strict=True)]
    different = [pair for pair in pairs if pair[0] != pair[1]]
    lines = [
        f"{len(pairs) - len(different)} of {len(pairs)} pieces have the same text in the stream as alone"
        f"; WER {wer(said, stream):.2f} % in the stream, {wer(said, pieces):.2f} % alone"
    ]
    lines += [f"  stream: {a}\n  alone:  {b}" for a, b in different[:shown]]
    return "\n".join(lines)

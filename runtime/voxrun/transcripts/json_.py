"""Transcripts as JSON, an object on each line."""

from typing import TYPE_CHECKING, Any

from voxrun.messages import readable
from voxrun.transcripts.typesetting.layout import PLAIN, Layout

from .text import Text
from .writer import Recording, Writer

if TYPE_CHECKING:
    from voxrun.stream.results import Result, Token, Word
    from voxrun.transcripts.typesetting.segments import Segment


class JsonLines(Writer):
    """An object for each segment as it comes."""

    def segment(self, segment: "Segment") -> str:
        """The segment."""
        return _line(**_segment(segment))


class Json(Writer):
    """An object on a line of its own."""

    about = "an object on a line for each (live: for each segment)"
    live, shows_alternatives = JsonLines, True

    def __init__(self, recording: Recording, layout: Layout = PLAIN) -> None:
        super().__init__(recording, layout)
        self._text, self._pieces, self._segments = Text(recording), list[str](), list[dict[str, Any]]()

    def result(self, result: "Result") -> str:
        """Nothing: all is written at the end."""
        self._pieces.append(self._text.result(result))
        return ""

    def segment(self, segment: "Segment") -> str:
        """Nothing: all is written at the end."""
        self._segments.append(_segment(segment))
        return ""

    def end(self, seconds: float) -> str:
        """The whole object."""
        return _line(
            file=readable(self.recording.name),
            model=readable(self.recording.model),
            delay_ms=self.recording.delay_ms,
            seconds=round(seconds, 3),
            text="".join(self._pieces),
            segments=self._segments,
        )

    def failure(self, error: Exception) -> str:
        """An object with the error."""
        return _line(file=readable(self.recording.name), error=readable(str(error)))


def _segment(segment: "Segment") -> dict[str, Any]:
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "words": [_word(word) for word in segment.words],
    }


def _word(word: "Word") -> dict[str, Any]:
    timed = {"start": round(word.start, 3), "end": round(word.end, 3), "text": word.text.strip()}
    if not any(token.alternatives for token in word.tokens):
        return timed
    return {**timed, "tokens": [_token(token) for token in word.tokens]}


def _token(token: "Token") -> dict[str, Any]:
    return {
        "id": token.id,
        "end": round(token.end, 3),
        "alternatives": [
            {"id": other.id, "text": other.text, "probability": round(other.probability, 6)}
            for other in token.alternatives
        ],
    }


def _line(**fields: Any) -> str:
    import json

    return json.dumps(fields, ensure_ascii=False) + "\n"

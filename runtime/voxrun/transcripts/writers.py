"""Transcripts as text, JSON or subtitles. A new format is a class and its line in WRITERS."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from voxrun.messages import readable
from voxrun.stream.results import Result, Token, Word

from .segments import Segment, Segmenter


@dataclass(frozen=True)
class Recording:
    """What a document is about."""

    name: str
    model: str
    delay_ms: float


class Writer:
    """One format: each method returns the text to write next; joined, these texts are the document."""

    about: ClassVar[str] = ""
    """What it writes, for --help."""
    needs_files: ClassVar[bool] = False
    """Whether the documents of several recordings cannot follow one another on standard output."""
    shows_alternatives: ClassVar[bool] = False
    live: ClassVar["type[Writer] | None"] = None
    """What writes sound without an end instead, where this one writes everything at the end."""
    watched: ClassVar["type[Writer] | None"] = None
    """What writes live sound to a terminal instead, which shows the words in progress anyway."""

    @classmethod
    def kind(cls, live: bool, watched: bool) -> "type[Writer]":
        """The writer of this format for a recording, or for live sound."""
        return ((watched and cls.watched) or cls.live or cls) if live else cls

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def begin(self) -> str:
        """At the start."""
        return ""

    def result(self, result: Result) -> str:
        """For each result of the session."""
        return ""

    def segment(self, segment: Segment) -> str:
        """For each segment, as soon as it is final."""
        return ""

    def end(self, seconds: float) -> str:
        """At the end, after `seconds` of sound."""
        return ""

    def failure(self, error: Exception) -> str:
        """Instead of everything else, for a recording that could not be transcribed."""
        return ""


class Lines(Writer):
    """A line for each segment."""

    def segment(self, segment: Segment) -> str:
        """The segment's text."""
        return f"{segment.text}\n"


class Text(Writer):
    """One line, whatever line breaks the model wrote; empty for a failure, so that line k is recording k."""

    about, watched = "a line for each recording", Lines

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._begun = self._space = False

    def result(self, result: Result) -> str:
        """New text as it comes, spaces and line breaks as single spaces between words."""
        text = result.text
        if not text.strip():
            self._space = self._space or bool(text)
            return ""
        space = self._begun and (self._space or text[0].isspace())
        self._begun, self._space = True, text[-1].isspace()
        return " " * space + " ".join(text.split())

    def end(self, seconds: float) -> str:
        """The line's end."""
        return "\n"

    def failure(self, error: Exception) -> str:
        """An empty line."""
        return "\n"


class JsonLines(Writer):
    """An object for each segment as it comes."""

    def segment(self, segment: Segment) -> str:
        """The segment."""
        return _line(**_segment(segment))


class Json(Writer):
    """An object on a line of its own."""

    about = "an object on a line for each (live: for each segment)"
    live, shows_alternatives = JsonLines, True

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._text, self._pieces, self._segments = Text(recording), list[str](), list[dict[str, Any]]()

    def result(self, result: Result) -> str:
        """Nothing: all is written at the end."""
        self._pieces.append(self._text.result(result))
        return ""

    def segment(self, segment: Segment) -> str:
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


class Srt(Writer):
    """SubRip."""

    about, needs_files = "SubRip subtitles", True

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._number = 0

    def segment(self, segment: Segment) -> str:
        """A numbered subtitle."""
        self._number += 1
        text = segment.text.replace("-->", "→")  # players would take it for a line of times
        return f"{self._number}\n{_span(segment, ',')}\n{text}\n\n"


class Vtt(Writer):
    """WebVTT."""

    about, needs_files = "WebVTT subtitles", True

    def begin(self) -> str:
        """The signature."""
        return "WEBVTT\n\n"

    def segment(self, segment: Segment) -> str:
        """A cue."""
        text = segment.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{_span(segment, '.')}\n{text}\n\n"


WRITERS: dict[str, type[Writer]] = {"txt": Text, "json": Json, "srt": Srt, "vtt": Vtt}
"""By the value of --format, which is also the suffix of the files."""


def timestamp(seconds: float, point: str) -> str:
    """HH:MM:SS and milliseconds after `point`; hours may pass 99."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _span(segment: Segment, point: str) -> str:
    return f"{timestamp(segment.start, point)} --> {timestamp(segment.end, point)}"


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "words": [_word(word) for word in segment.words],
    }


def _word(word: Word) -> dict[str, Any]:
    timed = {"start": round(word.start, 3), "end": round(word.end, 3), "text": word.text.strip()}
    if not any(token.alternatives for token in word.tokens):
        return timed
    return {**timed, "tokens": [_token(token) for token in word.tokens]}


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "end": round(token.end, 3),
        "alternatives": [
            {"id": other.id, "text": other.text, "probability": round(other.probability, 6)}
            for other in token.alternatives
        ],
    }


def _line(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


class Document:
    """The pieces of text that, joined, are a writer's document; it does no input or output."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._segmenter = writer, Segmenter()
        self.saying = ""
        """The text of the segment in progress."""

    def begin(self) -> str:
        """The document's beginning."""
        return self._writer.begin()

    def add(self, result: Result) -> str:
        """What a result adds."""
        segments = self._segmenter.feed(result)
        self.saying = self._segmenter.open + result.partial
        return self._writer.result(result) + "".join(map(self._writer.segment, segments))

    def end(self, seconds: float) -> str:
        """The rest, after `seconds` of sound."""
        return "".join(map(self._writer.segment, self._segmenter.finish())) + self._writer.end(seconds)

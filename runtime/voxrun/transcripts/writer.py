"""What all formats have in common: a writer, and how the results of a session become its document.

The options read what the formats are about, so typesetting is imported only when something is written.
"""

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from voxrun.transcripts.typesetting.layout import PLAIN, Layout

if TYPE_CHECKING:
    from voxrun.stream.results import Result
    from voxrun.transcripts.typesetting.segments import Segment


class Recording(NamedTuple):
    """What a document is about."""

    name: str
    model: str
    delay_ms: float


class Writer:
    """One format: each method returns the text to write next; joined, these texts are the document."""

    about: ClassVar[str] = ""
    """What it writes, for --help."""
    takes: ClassVar[tuple[str, ...]] = ()
    """The options of a `Layout` that change it, as `Layout.asked` spells them."""
    needs_files: ClassVar[bool] = False
    """Whether the documents of several recordings cannot follow one another on standard output."""
    shows_alternatives: ClassVar[bool] = False
    live: ClassVar["type[Writer] | None"] = None
    """What writes sound without an end instead, where this one writes everything at the end."""
    watched: ClassVar["type[Writer] | None"] = None
    """What writes live sound to a terminal instead, which shows the words in progress anyway."""
    timed: ClassVar["type[Writer] | None"] = None
    """What writes text with times instead."""

    @classmethod
    def kind(cls, live: bool, watched: bool, layout: Layout = PLAIN) -> "type[Writer]":
        """The writer of this format for a recording, or for live sound."""
        if layout.timestamps and cls.timed:
            return cls.timed
        return ((watched and cls.watched) or cls.live or cls) if live else cls

    def __init__(self, recording: Recording, layout: Layout = PLAIN) -> None:
        self.recording, self.layout = recording, layout

    def begin(self) -> str:
        """At the start."""
        return ""

    def result(self, result: "Result") -> str:
        """For each result of the session."""
        return ""

    def segment(self, segment: "Segment") -> str:
        """For each segment, as soon as it is final."""
        return ""

    def upcoming(self, start: float, final: bool) -> str:
        """After each result: when the next segment starts, in seconds; if that is not final, no earlier."""
        return ""

    def end(self, seconds: float) -> str:
        """At the end, after `seconds` of sound."""
        return ""

    def failure(self, error: Exception) -> str:
        """Instead of everything else, for a recording that could not be transcribed."""
        return ""


class Document:
    """The pieces of text that, joined, are a writer's document; it does no input or output."""

    def __init__(self, writer: Writer) -> None:
        from voxrun.transcripts.typesetting.segments import Segmenter

        self._writer, self._segmenter = writer, Segmenter(writer.layout)
        self.saying = ""
        """The text of the segment in progress."""

    def begin(self) -> str:
        """The document's beginning."""
        return self._writer.begin()

    def add(self, result: "Result") -> str:
        """What a result adds."""
        segments = self._segmenter.feed(result)
        self.saying = self._segmenter.open + result.partial
        text = self._writer.result(result) + "".join(map(self._writer.segment, segments))
        return text + self._writer.upcoming(*self._segmenter.next_start)

    def end(self, seconds: float) -> str:
        """The rest, after `seconds` of sound."""
        return "".join(map(self._writer.segment, self._segmenter.finish())) + self._writer.end(seconds)


def timestamp(seconds: float, point: str) -> str:
    """HH:MM:SS and milliseconds after `point`; hours may pass 99."""
    minutes, rest = divmod(milliseconds(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, none before the start."""
    return max(0, round(seconds * 1000))


def span(start: float, end: float, point: str) -> str:
    """Two times as subtitles write them."""
    return f"{timestamp(start, point)} --> {timestamp(end, point)}"

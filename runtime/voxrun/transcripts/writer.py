"""What all formats have in common."""

from dataclasses import dataclass
from typing import ClassVar

from voxrun.stream.results import Result

from .layout import PLAIN, Layout
from .segments import Segment


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

    def result(self, result: Result) -> str:
        """For each result of the session."""
        return ""

    def segment(self, segment: Segment) -> str:
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

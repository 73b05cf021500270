"""Transcripts as plain text and as tables."""

from typing import TYPE_CHECKING

from voxrun.transcripts.typesetting.layout import CUE, PLAIN, Layout

from .writer import Recording, Writer, milliseconds, span

if TYPE_CHECKING:
    from voxrun.stream.results import Result
    from voxrun.transcripts.typesetting.segments import Segment


class Lines(Writer):
    """A line for each segment."""

    def segment(self, segment: "Segment") -> str:
        """The segment's text."""
        return f"{segment.text}\n"


class TimedLines(Writer):
    """A line for each segment, with its times."""

    needs_files = True

    def segment(self, segment: "Segment") -> str:
        """Start, end and text."""
        return f"[{span(segment.start, segment.end, '.')}] {segment.text}\n"


class Text(Writer):
    """One line, whatever line breaks the model wrote; empty for a failure, so that line k is recording k."""

    about, takes = "a line for each recording", ("--timestamps",)
    watched, timed = Lines, TimedLines

    def __init__(self, recording: Recording, layout: Layout = PLAIN) -> None:
        super().__init__(recording, layout)
        self._begun = self._space = False

    def result(self, result: "Result") -> str:
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


class Tsv(Writer):
    """A table with tabs: start and end in whole milliseconds, and the text, as Whisper writes it."""

    about, takes, needs_files = "a table: start and end in ms, text", (f"--words {CUE}",), True

    def begin(self) -> str:
        """The names of the columns."""
        return "start\tend\ttext\n"

    def segment(self, segment: "Segment") -> str:
        """A row, or a row for each word; texts hold neither tabs nor line breaks."""
        if self.layout.words != CUE:
            return _row(segment.start, segment.end, segment.text)
        from voxrun.transcripts.typesetting.cues import cues_of

        cues = cues_of(segment, self.layout)
        return "".join(_row(cue.start, cue.end, text) for cue in cues for text in cue.texts)


def _row(start: float, end: float, text: str) -> str:
    return f"{milliseconds(start)}\t{milliseconds(end)}\t{text}\n"

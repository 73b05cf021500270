"""Subtitles: SubRip and WebVTT."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from voxrun.transcripts.typesetting.layout import CUE, HIGHLIGHT, PLAIN, Layout

from .writer import Recording, Writer, milliseconds, span, timestamp

if TYPE_CHECKING:
    from voxrun.transcripts.typesetting.cues import Cue
    from voxrun.transcripts.typesetting.segments import Segment

STYLE = "STYLE\n::cue(:future) {\n  color: gray;\n}\n\n"
"""Makes browsers show the words that are still to come in gray (CSS of WebVTT)."""


class Subtitles(Writer):
    """Cues, each written as soon as it is known how long it stays."""

    needs_files = True

    def __init__(self, recording: Recording, layout: Layout = PLAIN) -> None:
        from voxrun.transcripts.typesetting.cues import GAP, Pacing

        super().__init__(recording, layout)
        self._pacing = Pacing(gap=0.0 if layout.words == CUE else GAP)

    def segment(self, segment: "Segment") -> str:
        """The cue before this segment, and all cues of the segment but the last."""
        from voxrun.transcripts.typesetting.cues import cues_of

        return self._written(cue for new in cues_of(segment, self.layout) for cue in self._pacing.add(new))

    def upcoming(self, start: float, final: bool) -> str:
        """The cue that is final now."""
        return self._written(self._pacing.upcoming(start, final))

    def end(self, seconds: float) -> str:
        """The last cue."""
        return self._written(self._pacing.finish(seconds))

    @abstractmethod
    def cue(self, cue: "Cue") -> str:
        """A cue in this format."""

    def _written(self, cues: Iterable["Cue"]) -> str:
        return "".join(map(self.cue, cues))


class Srt(Subtitles):
    """SubRip. It has no escapes: what a player would take for markup is written with a similar character."""

    about, takes = "SubRip subtitles", ("--line-length", "--lines", f"--words {CUE}")

    def __init__(self, recording: Recording, layout: Layout = PLAIN) -> None:
        super().__init__(recording, layout)
        self._number = 0

    def cue(self, cue: "Cue") -> str:
        """A numbered subtitle."""
        self._number += 1
        text = "\n".join(map(_without_markup, cue.texts))
        return f"{self._number}\n{span(cue.start, cue.end, ',')}\n{text}\n\n"


class Vtt(Subtitles):
    """WebVTT (W3C)."""

    about, takes = "WebVTT subtitles", (*Srt.takes, f"--words {HIGHLIGHT}")

    def begin(self) -> str:
        """The signature, and a style for words that are marked."""
        return "WEBVTT\n\n" + (STYLE if self.layout.words == HIGHLIGHT else "")

    def cue(self, cue: "Cue") -> str:
        """A cue."""
        marked = self.layout.words == HIGHLIGHT
        text = _highlighted(cue) if marked else "\n".join(map(_escaped, cue.texts))
        return f"{span(cue.start, cue.end, '.')}\n{text}\n\n"


def _highlighted(cue: "Cue") -> str:
    """The lines with the time before each word; these times increase, and lie inside the cue.

    Each word is in a `<c>`: a style for what is past or future applies to elements only (W3C bug 16875).
    """
    from voxrun.transcripts.typesetting.pieces import whole_words

    last, end, rows = milliseconds(cue.start), milliseconds(cue.end), []
    for line in cue.lines:
        row = ""
        for index, word in enumerate(whole_words(line)):
            row += " " * (word.spaced and index > 0)
            if last < milliseconds(word.start) < end:
                last = milliseconds(word.start)
                row += f"<{timestamp(word.start, '.')}>"
            row += f"<c>{_escaped(word.text)}</c>"
        rows.append(row)
    return "\n".join(rows)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _without_markup(text: str) -> str:
    """Text that no player takes for a line of times, for HTML, or for a command in braces."""
    text = text.replace("-->", "→").replace("{\\", "{/")
    return re.sub(r"<(?=/?[A-Za-z])", "‹", text)  # noqa: RUF001

"""How a transcript is to look: one value that goes from the options to the writers."""

from typing import NamedTuple

CUE, HIGHLIGHT = "cue", "highlight"
MOST_LINES = 2
"""Lines of a subtitle by default (Netflix Timed Text Style Guide, BBC Subtitle Guidelines)."""


class Layout(NamedTuple):
    """What the user asked for; None or False where nothing was said."""

    line_length: int | None = None
    """Columns of a line; a wide character takes two. None: `columns.line_length` of the text."""
    lines: int | None = None
    """Most lines of a subtitle; None: MOST_LINES."""
    words: str | None = None
    """CUE: a cue for each word. HIGHLIGHT: each word is marked while it is spoken."""
    timestamps: bool = False
    """Plain text with the times of each segment."""

    @property
    def most_lines(self) -> int:
        """Most lines of a subtitle."""
        return MOST_LINES if self.lines is None else self.lines

    @property
    def asked(self) -> list[str]:
        """The options that were given, as `Writer.takes` spells them."""
        given = {
            "--line-length": self.line_length is not None,
            "--lines": self.lines is not None,
            f"--words {self.words}": self.words is not None,
            "--timestamps": self.timestamps,
        }
        return [option for option, is_given in given.items() if is_given]


PLAIN = Layout()
"""Nothing was asked for."""

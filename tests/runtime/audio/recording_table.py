"""docs/recordings.md, written from the outcomes of tests/runtime/audio/test_recording_table.py."""

import math
import re
from collections.abc import Mapping, Sequence

from ears import Heard
from recordings import Recording

DOCUMENT = "docs/recordings.md"
HEAD = """# Recordings as people have them

What `voxrun --audio FILE` and `voxrun --audio - < FILE` make of recordings of every kind: seconds of sound in
it, seconds heard, seconds told on stderr as lost, exit code. `tests/recordings/` makes the recordings,
`tests/runtime/audio/test_recording_table.py` checks each row and that this table shows it, and
`pytest tests/runtime/audio --write-recordings` writes it again.

File and pipe give the same samples, so the same text, for each of them; so does a Python file object. "Exact"
means that every sample is the one that was recorded. A lossy codec may add up to 0.15 s of padding. Where
sound is missing in the middle of a recording that has a clock, silence stands for it, so that the times of
later words are right.
"""


TITLES = """\
| | | in it, s | heard, s | lost, s | exit | said |
|---|---|---:|---:|---:|---:|---|
"""


def document(kinds: Mapping[str, Sequence[Recording]], rows: Mapping[str, tuple[Heard, Heard]]) -> str:
    """All of it; `rows`: name -> what the file and the pipe gave."""
    return HEAD + "".join(_chapter(title, kind, rows) for title, kind in kinds.items())


def _chapter(title: str, kind: Sequence[Recording], rows: Mapping[str, tuple[Heard, Heard]]) -> str:
    return f"\n## {title}\n\n{TITLES}" + "".join(_row(each, *rows[each.name]) for each in kind)


def _row(recording: Recording, file: Heard, pipe: Heard) -> str:
    held = "-" if recording.refused else f"{recording.seconds:.2f}"
    cells, piped = _cells(recording, file), _cells(recording, pipe)
    shown = [
        one if one == other else f"{one}; pipe: {other}" for one, other in zip(cells, piped, strict=True)
    ]
    return f"| {recording.name} | {recording.about} | {held} | {' | '.join(shown)} |\n"


def _cells(recording: Recording, heard: Heard) -> tuple[str, str, str, str]:
    """Seconds heard, seconds told as lost, exit code, what is said."""
    exact = ", exact" if recording.exact else ""
    seconds = "-" if recording.refused else f"{heard.seconds:.2f}{exact}"
    lost = "some" if math.isnan(heard.lost) else f"{heard.lost:.1f}" if heard.lost else ""
    return seconds, lost, str(heard.code), _said(heard)


def _said(heard: Heard) -> str:
    """The line on stderr, without the program and the recording's name."""
    assert heard.said.count("\n") <= 1
    return re.sub(r"voxrun: (/\S*|standard input):? ", "", heard.said.strip()).replace("|", "/")

"""docs/recordings.md, written from the outcomes of tests/runtime/audio/test_recording_table.py."""

import math
from collections.abc import Mapping, Sequence

from ears import Heard
from recordings import Recording

DOCUMENT = "docs/recordings.md"
HEAD = """# Recordings as people have them

What `voxrun --audio FILE` and `voxrun --audio - < FILE` make of recordings of every kind: seconds of sound in
it, seconds heard, seconds told on stderr as lost, exit code. `tests/recordings/` makes the recordings,
`tests/runtime/audio/test_recording_table.py` checks each row and that this table shows it, and
`pytest tests/runtime/audio --write-recordings` writes it again.

File and pipe give the same samples, so the same text, for each of them. "Exact" means that every sample is the
one that was recorded. A lossy codec may add up to 0.15 s of padding. Where sound is missing in the middle of a
recording that has a clock, silence stands for it, so that the times of later words are right.
"""


def document(kinds: Mapping[str, Sequence[Recording]], rows: Mapping[str, tuple[Heard, Heard]]) -> str:
    """All of it; `rows`: name -> what the file and the pipe gave."""
    return HEAD + "".join(_chapter(title, kind, rows) for title, kind in kinds.items())


def _chapter(title: str, kind: Sequence[Recording], rows: Mapping[str, tuple[Heard, Heard]]) -> str:
    refused = all(each.refused for each in kind)
    head = "| | | exit | said |\n|---|---|---:|---|\n" if refused else (
        "| | | in it, s | heard, s | told as lost, s | exit |\n|---|---|---:|---:|---:|---:|\n"
    )
    row = _refusal if refused else _row
    return f"\n## {title}\n\n{head}" + "".join(row(each, *rows[each.name]) for each in kind)


def _row(recording: Recording, file: Heard, pipe: Heard) -> str:
    held = "-" if recording.seconds is None else f"{recording.seconds:.2f}"
    cells = (_heard(recording, file), _lost(file), str(file.code))
    piped = (_heard(recording, pipe), _lost(pipe), str(pipe.code))
    shown = [one if one == other else f"{one}; pipe {other}" for one, other in zip(cells, piped, strict=True)]
    return f"| {recording.name} | {recording.about} | {held} | {' | '.join(shown)} |\n"


def _heard(recording: Recording, heard: Heard) -> str:
    if recording.refused:
        return "refused"
    return f"{heard.seconds:.2f}" + (", exact" if recording.exact else "")


def _lost(heard: Heard) -> str:
    return "some" if math.isnan(heard.lost) else f"{heard.lost:.1f}" if heard.lost else ""


def _refusal(recording: Recording, file: Heard, pipe: Heard) -> str:
    said = file.said.strip().rpartition(f"{recording.name}: ")[2]
    return f"| {recording.name} | {recording.about} | {file.code} | {said.replace('|', '/')} |\n"

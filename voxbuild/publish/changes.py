"""Comparing two lists of files, each path -> size and sha256."""

from collections.abc import Collection

from voxbuild.console import foreign_table
from voxrun.trust.manifest import Entry

from .beside import Files


def changes_table(there: Files, wanted: Files, kept: Collection[str] = ()) -> str:
    """A table of what publishing does to each file (add, same, replace, keep or remove), with sizes."""
    rows = [
        (
            _change(there.get(name), wanted.get(name), name in kept),
            name,
            _size(wanted.get(name)),
            _size(there.get(name)),
        )
        for name in sorted({*there, *wanted})
    ]
    return foreign_table(rows, ["change", "file", "bytes", "bytes now"])


def faults(there: Files, promised: Files) -> list[str]:
    """A line for each file that is missing, not listed in the manifest, or different from its entry."""
    lines = []
    for name in sorted({*there, *promised}):
        found, entry = there.get(name), promised.get(name)
        if found is None:
            lines.append(f"{name} is missing")
        elif entry is None:
            lines.append(f"{name} is not in the manifest")
        elif found.size != entry.size:
            lines.append(f"{name} has {found.size:,} bytes, not {entry.size:,}")
        elif found != entry:
            lines.append(f"{name} has the sha256 {found.sha256}, not {entry.sha256}")
    return lines


def _change(there: Entry | None, wanted: Entry | None, kept: bool) -> str:
    if wanted is None:
        return "keep" if kept else "remove"
    return "add" if there is None else "same" if there == wanted else "replace"


def _size(entry: Entry | None) -> str:
    return f"{entry.size:,}" if entry else ""

"""Clip sets that are named by their folder: recordings with a transcripts.tsv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxbuild.errors import SourceError
from voxbuild.recipes.origins.folder import TRANSCRIPTS, ClipFolder
from voxbuild.recipes.source import ClipSet
from voxbuild.sources.clips import read_clips
from voxbuild.workspace import Workspace

from .kept import write_section
from .place import Place, folder_place
from .told import read_front_matter
from .values import valid_name

NOT_STATED = "not stated"
UNDETERMINED = "und"
"""The language code of recordings in a language that nobody named (ISO 639-2)."""
LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt", "COPYING")
LONGEST_LINE = 100
HEAD = """\
# Found by `clips={folder}`.
# To keep it and to edit it, copy it to recipes/clips/.
"""


def find_clips(work: Workspace, folder: str, language: str | None, known: Mapping[str, ClipSet]) -> None:
    """Keep the clip set of a folder in out/.sources/clips/, unless one of the `known` sets has the folder.

    `language` is that of the recordings, if it is known. Raises SourceError.
    """
    place = folder_place(folder)
    if TRANSCRIPTS not in place.files:
        raise SourceError(
            f"{place.key}: no {TRANSCRIPTS} is there; a line of it is a recording's file, a tab, its text"
        )
    there = clip_set_in(work, place.key, known)
    if there and not (work.found_clips / f"{there.name}.yaml").is_file():
        return
    name = there.name if there else _free_name(work, place, known)
    spoken = language or (there.language if there else UNDETERMINED)
    found = _described(place, name, spoken)
    read_clips(found, work.clips)  # an error now, not after converting
    write_section(work.found_clips / f"{name}.yaml", found, HEAD.format(folder=place.key))


def clip_set_in(work: Workspace, folder: str, known: Mapping[str, ClipSet]) -> ClipSet | None:
    """The known clip set whose recordings are in a folder."""
    here = Path(folder).resolve()
    for clips in known.values():
        if isinstance(clips.corpus, ClipFolder) and (work.clips / clips.corpus.root).resolve() == here:
            return clips
    return None


def _free_name(work: Workspace, place: Place, known: Mapping[str, ClipSet]) -> str:
    """The folder's name, or with its parent's if another clip set has it. Raises SourceError."""
    folder = Path(place.key)
    taken = {
        name.casefold()
        for name, clips in known.items()
        if not isinstance(clips.corpus, ClipFolder) or (work.clips / clips.corpus.root).exists()
    }
    names = [valid_name(place.title), valid_name(f"{folder.parent.name}-{folder.name}")]
    for name in names:
        if name.casefold() not in taken:
            return name
    raise SourceError(f"{place.key}: there are clip sets {' and '.join(names)} already; rename the folder")


def _described(place: Place, name: str, language: str) -> ClipSet:
    card = read_front_matter(place, [])
    stated = _short(card.get("license")) or _first_line(place) or NOT_STATED
    return ClipSet(
        name=name,
        summary="The builder's own recordings.",
        folder=ClipFolder(place.key),
        language=language,
        license=stated,
        attribution="the speakers are not stated.",
    )


def _first_line(place: Place) -> str | None:
    """What the folder's licence is called: the first line of its file."""
    for name in LICENCES:
        if name in place.files and (line := _short(_text(place, name))):
            return line
    return None


def _text(place: Place, name: str) -> str:
    """A text file; empty if it cannot be read, in another encoding for example."""
    try:
        return place.text(name)
    except (SourceError, UnicodeError):
        return ""


def _short(text: Any) -> str | None:
    """The first line with words, cut off if it is long; None if there is none that can be shown."""
    lines = (line.strip("# \t*=-") for line in (text.splitlines() if isinstance(text, str) else ()))
    line = next((line for line in lines if line), "")
    return line[:LONGEST_LINE] if line.isprintable() else None

"""The recordings of a clip set, with or without transcripts."""

from pathlib import Path

from voxbuild.errors import SourceError
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.origins.folder import TRANSCRIPTS
from voxbuild.recipes.source import ClipSet
from voxrun.files.hashes import sha256_of
from voxrun.messages import shown


def read_recordings(clips: ClipSet, base: Path) -> list[Clip]:
    """The clips of a set, whether somebody wrote what is said in them or not. Raises SourceError."""
    if members := clips.corpus.unlabelled(clips.name, base):
        return members
    raise SourceError(f"the clip set {clips.name} has no recordings")


def in_both(one: ClipSet, other: ClipSet, base: Path) -> tuple[Path, Path] | None:
    """Recordings of two sets in local folders that are the same file; None if there are none."""
    mine, theirs = (_by_size(clips, base) for clips in (one, other))
    for size in mine.keys() & theirs.keys():
        hashes = {sha256_of(path): path for path in theirs[size]}
        for path in mine[size]:
            if same := hashes.get(sha256_of(path)):
                return path, same
    return None


def _by_size(clips: ClipSet, base: Path) -> dict[int, list[Path]]:
    """The recordings of a set in a local folder by their size in bytes."""
    found: dict[int, list[Path]] = {}
    for path in clips.corpus.files(base):
        if path.name != TRANSCRIPTS:
            found.setdefault(path.stat().st_size, []).append(path)
    return found


def read_clips(clips: ClipSet, base: Path) -> list[Clip]:
    """The clips of a set with their transcripts; `base` is the folder that local paths are relative to.

    Raises SourceError.
    """
    members = clips.corpus.clips(clips.name, base)
    if not members:
        raise SourceError(f"the clip set {clips.name} has no clips")
    for clip in members:
        if not clips.normaliser(clip.text):
            raise SourceError(f"{clip.name}: its transcript {shown(clip.text)} has no words")
    return members

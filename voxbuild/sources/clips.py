"""The recordings of a clip set, with their transcripts."""

from pathlib import Path

from voxbuild.errors import SourceError
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import ClipSet
from voxrun.messages import shown

from .transcripts import normalise


def read_clips(clips: ClipSet, base: Path) -> list[Clip]:
    """The clips of a set; `base` is the folder that local paths are relative to. Raises SourceError."""
    members = clips.corpus.clips(clips.name, base)
    if not members:
        raise SourceError(f"the clip set {clips.name} has no clips")
    for clip in members:
        if not normalise(clip.text):
            raise SourceError(f"{clip.name}: its transcript {shown(clip.text)} has no words")
    return members

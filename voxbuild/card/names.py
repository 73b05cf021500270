"""The names of a card's files: tasks have them before anything is rendered."""

from collections.abc import Iterable

from voxbuild.artifact.manifest import CARD, EVAL_RESULTS, PLOT
from voxbuild.recipes.source import ClipSet

from .siblings import Record


def card_names(clips: Iterable[ClipSet], siblings: Record) -> list[str]:
    """The names of a card's files, which depend on the clip sets and the other variants."""
    on_the_hub = any(clip_set.corpus.dataset() for clip_set in clips)
    return [CARD, *([EVAL_RESULTS] if on_the_hub else []), *([PLOT] if siblings else [])]

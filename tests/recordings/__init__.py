"""Odd recordings, as people have them, and what is to be heard of each. None is stored: all are made.

    RECORDINGS["flac-zeros"].make()       # the bytes

A new one is a line in the module of its kind. `python -m recordings FOLDER` (in tests/) writes them all.
"""

from . import damaged, formats, joined, lengths, levels, not_sound, tagged, truncated, video
from .recording import ANY, UNKNOWN, Recording

KINDS = {
    "Formats": formats.ALL,
    "Joined": joined.ALL,
    "Lengths unknown or wrong": lengths.ALL,
    "Tags, covers, junk": tagged.ALL,
    "Damage in the middle": damaged.ALL,
    "Cut short": truncated.ALL,
    "Levels and channels": levels.ALL,
    "Video": video.ALL,
    "No recordings": not_sound.ALL,
}
"""By the chapters of docs/recordings.md."""
RECORDINGS = {each.name: each for kind in KINDS.values() for each in kind}
assert len(RECORDINGS) == sum(map(len, KINDS.values())), "two recordings have the same name"

__all__ = ["ANY", "KINDS", "RECORDINGS", "UNKNOWN", "Recording"]

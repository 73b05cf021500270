"""Which sound of a recording is wanted."""

from dataclasses import dataclass

from voxrun.errors import AudioError
from voxrun.values import whole

from .decode.raw import Raw

__all__ = ["Choice", "Raw"]


@dataclass(frozen=True)
class Choice:
    """What of a recording is heard; the defaults are its first sound track, all channels averaged."""

    track: int | None = None
    """A sound track, counted from 1."""
    channel: int | None = None
    """A channel, counted from 1; None: all, averaged."""
    raw: Raw | None = None
    """How to read samples without a header; None: the recording says so itself."""

    def __post_init__(self) -> None:
        """Raises AudioError for a track or channel that is no whole number of 1 or more."""
        for name, number in (("track", self.track), ("channel", self.channel)):
            if number is not None and whole(name, number, AudioError) < 1:
                raise AudioError(f"{name} {number} is not possible: they are counted from 1")

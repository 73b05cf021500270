"""What is missing from a recording: seconds between sounds and behind them, and what is said about it."""

LEAST = 0.1
"""Seconds; what is shorter is rounding of lossy formats, unless a packet could not be decoded."""


class Losses:
    """Adds up what one recording lacks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Known to be missing."""
        self.damaged = False
        """Something could not be decoded though sound comes after it."""
        self.cut = False
        """It breaks off; how much is missing may be unknown."""

    @property
    def told(self) -> bool:
        """Whether anything is missing."""
        return self.damaged or self.cut or self.seconds >= LEAST

    def damage(self, seconds: float) -> None:
        """So many seconds could not be decoded, and sound follows."""
        self.damaged = True
        self.seconds += max(0.0, seconds)

    def tail(self, seconds: float) -> None:
        """So many seconds that the header promises did not come."""
        if seconds >= LEAST:
            self.seconds += seconds

    def settle(self, promised: float, heard: float, complete: bool) -> None:
        """A header's length is exact where an estimate from bytes is not.

        `complete`: all bytes that the header promises have come, so that nothing is cut off.
        """
        if heard > promised + LEAST or (complete and not self.damaged):  # joined recordings; a wrong header
            return
        missing = max(0.0, promised - heard)
        self.seconds = missing if self.damaged or missing >= LEAST else 0.0

    def sentence(self) -> str:
        """What is missing, for the user."""
        if self.seconds >= LEAST / 2:
            return f"the recording is cut short or damaged; {self.seconds:.1f} s of it are lost"
        if self.cut:
            return "the recording is cut short or damaged; how much of it is lost cannot be known"
        return f"the recording is damaged; less than {LEAST} s of it is lost"

    def add(self, other: "Losses") -> None:
        """Add the losses of a part."""
        self.seconds += other.seconds
        self.damaged = self.damaged or other.damaged
        self.cut = self.cut or other.cut

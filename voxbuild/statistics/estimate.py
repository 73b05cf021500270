"""A figure with its 95 % interval, in Python, in JSON and in words."""

from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

LEVEL = 95
"""Per cent: how often such an interval holds the true figure."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; all NaN if it is not finite."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, stored: Any) -> "Estimate":
        """What `as_json` wrote. A number, as before intervals were kept, has an unknown interval."""
        if isinstance(stored, dict):
            return cls(float(stored["value"]), float(stored["low"]), float(stored["high"]))
        return UNKNOWN if stored is None else cls(float(stored), nan, nan)

    def __mul__(self, factor: float) -> "Estimate":
        """In another unit; the factor is positive."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def __neg__(self) -> "Estimate":
        return Estimate(-self.value, -self.high, -self.low)

    @property
    def complement(self) -> "Estimate":
        """One minus it: of a share, that of all others."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low)

    @property
    def is_finite(self) -> bool:
        """Whether there is a figure."""
        return isfinite(self.value)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high; None if they are unknown."""
        return (self.low, self.high) if isfinite(self.low) else None

    def as_json(self, digits: int) -> dict[str, float] | None:
        """Value, low and high, rounded; None if it is not finite."""
        if not self.is_finite:
            return None
        return {name: round(value, digits) + 0.0 for name, value in vars(self).items()}  # no -0.0

    def in_words(self, digits: int) -> str:
        """`8.36 (6.12 to 11.20)`; without the interval if it is unknown."""
        if not self.is_finite:
            return "not finite"
        interval = f" ({self.low:.{digits}f} to {self.high:.{digits}f})" if isfinite(self.low) else ""
        return f"{self.value:.{digits}f}{interval}"


UNKNOWN = Estimate(nan, nan, nan)

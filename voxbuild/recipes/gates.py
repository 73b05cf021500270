"""Gates: the limits that an artifact must meet to be published."""

from typing import Annotated

import pydantic

from .schema import Strict

Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
NotNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
WORST_WER = 75.0
"""The absolute limit of the WER in per cent, in the worst clip set: above it a model does not hear the clips.

A good model has up to about 30 % on hard recordings; one that is broken, or hears another language than the
transcripts', has 90 % and more.
"""
FLOORS = {"top1_agreement"}
"""The gates that are minima; all others are maxima."""


def _not_looser(wer: float) -> float:
    if wer > WORST_WER:
        raise ValueError(f"the limit can be {WORST_WER:g} at most: above it, a model does not hear the clips")
    return wer


class Gates(Strict):
    """Limits for validation; those that are not given are not checked, but the WER always is."""

    wer: Annotated[NotNegative, pydantic.AfterValidator(_not_looser)] = WORST_WER
    """Word error rate in per cent, in the worst clip set; at most WORST_WER."""
    wer_increase: NotNegative | None = None
    """Percentage points of WER above the unquantized source's, in the worst clip set."""
    top1_agreement: Fraction | None = None
    """Minimum share of positions where the likeliest token is the unquantized source's."""
    kl_mean: NotNegative | None = None
    """Mean KL divergence from the unquantized source, in nats."""
    kl_p99: NotNegative | None = None
    """99th percentile of that KL divergence, in nats."""

    def stricter(self, other: "Gates") -> "Gates":
        """The stricter limit of each gate."""
        mine, theirs = self.model_dump(exclude_none=True), other.model_dump(exclude_none=True)
        both = {
            name: (max if name in FLOORS else min)(mine[name], theirs[name])
            for name in mine.keys() & theirs.keys()
        }
        return Gates(**(mine | theirs | both))

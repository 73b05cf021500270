"""Gates: the limits that an artifact must meet to be published."""

from typing import Annotated

import pydantic

from .schema import Strict

Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
NotNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


FLOORS = {"top1_agreement"}
"""The gates that are minima; all others are maxima."""


class Gates(Strict):
    """Limits for validation; those that are not given are not checked."""

    wer: NotNegative | None = None
    """Word error rate in per cent, in the worst clip set."""
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

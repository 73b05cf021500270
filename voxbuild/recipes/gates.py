"""Gates: the limits that an artifact must keep to be published."""

from typing import Annotated

import pydantic

from .schema import Strict

Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
NotNegative = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Gates(Strict):
    """Limits that validation must keep; those not given are not checked."""

    wer: NotNegative | None = None
    """Word error rate in per cent, in the worst clip set."""
    wer_increase: NotNegative | None = None
    """Points of WER above the unquantized source's, in the worst clip set."""
    top1_agreement: Fraction | None = None
    """Least share of positions where the likeliest token is the unquantized source's."""
    kl_mean: NotNegative | None = None
    """Mean KL divergence from the unquantized source, in nats."""
    kl_p99: NotNegative | None = None
    """99th percentile of the same."""

    def stricter(self, other: "Gates") -> "Gates":
        """The stricter of both limits, where both give one: top1_agreement is a floor, all else a ceiling."""
        mine, theirs = self.model_dump(exclude_none=True), other.model_dump(exclude_none=True)
        both = {
            name: (max if name == "top1_agreement" else min)(mine[name], theirs[name])
            for name in mine.keys() & theirs.keys()
        }
        return Gates(**(mine | theirs | both))

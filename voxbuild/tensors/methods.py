"""The methods that find a group's scale and bias. A new search method is one function and one row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .modes import Quantization

Rows = np.typing.NDArray[Any]
Quantizer = Callable[[Rows, str, Quantization, Rows | None], dict[str, Rows]]
"""(rows [n, columns] in storage form, dtype, settings, moments [columns] or None) -> leaf -> stored array."""


@dataclass(frozen=True)
class Method:
    """One value of a recipe's `search:`."""

    quantize: Quantizer
    needs_moments: bool = False
    """Whether it weights columns by the moments of their inputs; then the recipe needs `calibrate:`."""
    needs_biases: bool = True
    """Whether it works for modes with biases only."""
    throughput: float = 0.3e9
    """Bytes of source converted in a second on two cores: for the estimate of `doit plan`."""


def _from_range(rows: Rows, dtype: str, how: Quantization, moments: Rows | None) -> dict[str, Rows]:
    from .quantize import quantize_rows

    return quantize_rows(rows, dtype, how)


def _by_least_error(rows: Rows, dtype: str, how: Quantization, moments: Rows | None) -> dict[str, Rows]:
    from .search import search_rows  # slow: it compiles loops

    return search_rows(rows, dtype, how, moments)


METHODS = {
    "none": Method(_from_range, needs_biases=False, throughput=0.8e9),
    "mse": Method(_by_least_error),
    "activation": Method(_by_least_error, needs_moments=True),
}

"""The methods that round a matrix to groups with a scale and a bias. A new search method is one row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from voxbuild.errors import ConvertError

from .modes import Quantization

if TYPE_CHECKING:
    import numpy as np

    Rows = np.typing.NDArray[Any]
else:
    Rows = Any  # recipes name methods, and are read much more often than anything is rounded
Quantizer = Callable[[Rows, str, Quantization, Any], dict[str, Rows]]
"""(rows [n, columns] in storage form, dtype, settings, what was prepared or None) -> leaf -> array."""
Prepare = Callable[[Rows, str, Quantization], Any]
"""(moments, module, settings) -> what the quantizer is given for each chunk of the matrix's rows."""
Lookup = Callable[[str], Rows | None]
"""Module -> its moments."""
Kind = Literal["diagonal", "matrix"]
"""Of moments: the mean squares of a matrix's inputs [columns], or their second moments [columns, columns]."""


def _as_they_are(moments: Rows, module: str, how: Quantization) -> Rows:
    return moments


@dataclass(frozen=True)
class Method:
    """One value of a recipe's `search:`."""

    quantize: Quantizer
    moments: Kind | None = None
    """What it needs of a calibration; then the recipe needs `calibrate:`."""
    prepare: Prepare = _as_they_are
    """Raises ValueError, with why, for moments that it cannot use."""
    without: str | None = None
    """The method for a matrix without usable moments; None: that is an error."""
    needs_biases: bool = True
    """Whether it works for modes with biases only."""
    throughput: float = 0.3e9
    """Bytes of source converted in a second on two cores: for the estimate of `doit plan`."""


def _from_range(rows: Rows, dtype: str, how: Quantization, moments: None) -> dict[str, Rows]:
    from .quantize import quantize_rows

    return quantize_rows(rows, dtype, how)


def _by_least_error(rows: Rows, dtype: str, how: Quantization, moments: Rows | None) -> dict[str, Rows]:
    from .search import search_rows  # slow: it compiles loops

    return search_rows(rows, dtype, how, moments)


def _with_feedback(rows: Rows, dtype: str, how: Quantization, cost: Any) -> dict[str, Rows]:
    from .feedback import round_rows  # slow: it compiles loops

    return round_rows(rows, dtype, how, cost)


def _curvature(moments: Rows, module: str, how: Quantization) -> Any:
    from .feedback import curvature, damping_of

    return curvature(moments, damping_of(module), how.group_size)


METHODS = {
    "none": Method(_from_range, needs_biases=False, throughput=0.8e9),
    "mse": Method(_by_least_error, throughput=0.6e9),
    "activation": Method(_by_least_error, moments="diagonal", throughput=0.6e9),
    "gptq": Method(_with_feedback, moments="matrix", prepare=_curvature, without="mse"),
}


def _usable(moments: Rows | None, shape: tuple[int, ...]) -> Rows:
    import numpy as np

    if moments is None:
        raise ValueError("the calibration has none")
    if moments.shape != shape:
        raise ValueError("they are of another size")
    if not np.isfinite(moments).all():
        raise ValueError("they are not finite")
    return moments


@dataclass(frozen=True)
class Choice:
    """How one matrix is rounded."""

    how: Quantization
    prepared: Any = None
    """What its method's quantizer is given."""
    map: Rows | None = None
    """What the rows are multiplied by before they are rounded, float32 [columns, columns]; None: nothing."""
    why: str | None = None
    """Why the moments of the matrix are not used, if its method needs them."""


def choose(module: str, columns: int, how: Quantization, found: Mapping[str, Lookup]) -> Choice:
    """How a matrix is rounded that `how` asks for; `found` are the moments of a calibration, by kind.

    Raises ConvertError if its method can do nothing without moments that are missing or unusable.
    """
    method = METHODS[how.search]
    if method.moments is None:
        return Choice(how)
    moments = found[method.moments](module)
    shape = (columns,) if method.moments == "diagonal" else (columns, columns)
    try:
        return Choice(how, method.prepare(_usable(moments, shape), module, how))
    except ValueError as error:
        if method.without is None:
            raise ConvertError(
                f"{module}: the calibration has no usable moments of its {columns} inputs;"
                " calibrate again, or give it a rule with another search"
            ) from error
        return Choice(replace(how, search=method.without), why=str(error))

"""Numbers that a Python program gives: of the right type, or an error that names the argument."""

from numbers import Integral, Real
from typing import Any

from .errors import VoxrunError
from .messages import shown


def number(name: str, value: Any) -> float:
    """A number of any kind, NumPy's too. Raises VoxrunError."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise VoxrunError(f"{name} must be a number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise VoxrunError(f"{name} is too large: {shown(value)}") from error


def whole(name: str, value: Any, error: type[VoxrunError] = VoxrunError) -> int:
    """A whole number of any kind, NumPy's too. Raises `error`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise error(f"{name} must be a whole number, not {shown(value)}")
    return int(value)

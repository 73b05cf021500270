"""The types of sample arrays, and samples of any kind as floats."""

from typing import TYPE_CHECKING, Any

from .errors import AudioError

if TYPE_CHECKING:
    import numpy as np

    Array = np.typing.NDArray[Any]
    FloatArray = np.typing.NDArray[np.float32]
else:
    Array = FloatArray = Any  # what only names the types, such as the headers of weights, does not need NumPy


def as_floats(samples: Any) -> FloatArray:
    """A NumPy array of integers or floats of any width, as float32 of the same shape.

    Integers are divided by their full range to lie in -1..1; unsigned ones are centred, as in WAV of 8 bits.
    What is not finite, or exceeds float32, counts as silence. Raises AudioError for any other type.
    """
    import numpy as np

    if not isinstance(samples, np.ndarray):
        raise AudioError(f"samples must be a NumPy array, not {type(samples).__name__}")
    kind, half = samples.dtype.kind, 2.0 ** (8 * samples.dtype.itemsize - 1)
    with np.errstate(over="ignore"):
        if kind == "f":
            return np.nan_to_num(samples.astype(np.float32), posinf=0.0, neginf=0.0)
        if kind in "iu":
            wide = samples.astype(np.float32 if half <= 2**15 else np.float64)  # exact up to 32 bits
            floats: FloatArray = ((wide - half if kind == "u" else wide) / half).astype(np.float32)
            return floats
    raise AudioError(f"samples must be integers or floats, not {samples.dtype}")


def mono(samples: Any) -> FloatArray:
    """Samples [n] or [n, 1] as floats [n]. Raises AudioError for other shapes and types."""
    floats = as_floats(samples)
    if floats.ndim == 2 and floats.shape[1] == 1:
        return floats[:, 0]
    if floats.ndim != 1:
        raise AudioError(f"a session takes mono samples [n], not an array of shape {floats.shape}")
    return floats

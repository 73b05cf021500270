"""Audio as protocols send it: encoded samples to floats."""

import base64
import binascii
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray, as_floats

from .errors import Kind, RefusedError

ENCODINGS = {"pcm_s16le": "<i2"}
"""Name -> NumPy's type."""


def decoded(audio: Any, encoding: str) -> FloatArray:
    """Base64 to samples [n], in -1..1. Raises RefusedError."""
    dtype = np.dtype(ENCODINGS[encoding])
    try:
        data = base64.b64decode(audio, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise RefusedError(Kind.INVALID_AUDIO, "the audio is not base64", "audio") from error
    if not data or len(data) % dtype.itemsize:
        raise RefusedError(
            Kind.INVALID_AUDIO, f"{len(data)} bytes are not whole samples of {encoding}", "audio"
        )
    return as_floats(np.frombuffer(data, dtype))

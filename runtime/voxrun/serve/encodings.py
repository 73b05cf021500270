"""Audio as protocols send it: pieces of encoded samples, as floats at the model's rate."""

import base64
from typing import Any

import numpy as np

from voxrun.arrays import Array, FloatArray, as_floats
from voxrun.audio.source import RATES, Resampler
from voxrun.messages import shown

from .errors import Kind, RefusedError

MOST_BYTES = 25 * 2**20
"""Of one piece, if a protocol does not say less."""
MOST_SECONDS = MOST_BYTES / 2 / 16000
"""Of one piece: a low rate, or one byte a sample, makes few bytes many samples at the model's rate."""


def _mu_law() -> Array:
    """The sample of each byte of mu-law (ITU-T G.711) [256], of 16 bits."""
    code = ~np.arange(256, dtype=np.uint8).astype(np.int32)
    exponent, mantissa = code >> 4 & 7, code & 15
    size = ((2 * mantissa + 33 << exponent) - 33) * 4
    return np.where(code & 128, -size, size).astype(np.int16)


def _a_law() -> Array:
    """The sample of each byte of A-law (ITU-T G.711) [256], of 16 bits."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    size = np.where(exponent == 0, 2 * mantissa + 1, 2 * mantissa + 33 << np.maximum(exponent - 1, 0)) * 8
    return np.where(code & 128, size, -size).astype(np.int16)


_TYPES = {"pcm_s16le": "<i2", "pcm_s32le": "<i4", "pcm_f16le": "<f2", "pcm_f32le": "<f4"}
_TABLES = {"pcm_mulaw": _mu_law(), "pcm_alaw": _a_law()}
ENCODINGS = (*_TYPES, *_TABLES)
"""Encodings of samples, as Mistral names them."""


class AudioDecoder:
    """One stream of audio in pieces, to mono samples at one rate. How it is divided changes no sample."""

    def __init__(self, encoding: Any, rate: Any, to: int, most_bytes: int = MOST_BYTES) -> None:
        """`encoding`: one of ENCODINGS; `rate`: samples a second that come; `to`: that are wanted.

        `most_bytes`: of one piece, decoded from base64. Raises RefusedError for a value that is not possible.
        """
        if encoding not in ENCODINGS:
            raise _impossible(f"the encoding must be one of {', '.join(ENCODINGS)}, not {shown(encoding)}")
        if type(rate) is not int or rate not in RATES:
            raise _impossible(
                f"the rate must be {RATES[0]} to {RATES[-1]} samples a second, not {shown(rate)}"
            )
        self._encoding, self._most_bytes = encoding, most_bytes
        self._width = np.dtype(_TYPES.get(encoding, np.uint8)).itemsize
        self._rate, self._taken = rate, 0
        self._resampler = Resampler(rate, to)

    @property
    def seconds(self) -> float:
        """Of audio taken so far; the change of rate holds some of it back."""
        return self._taken / self._rate

    def feed(self, audio: Any) -> FloatArray:
        """Samples [n] in -1..1, as far as they are ready, after a piece: base64 (a string), or the bytes.

        A float that is not finite counts as silence. A piece may be empty, but must not end inside a sample,
        as in vLLM: a client that cuts there has lost count, and what followed would be noise.

        Raises RefusedError, and then has taken nothing.
        """
        data = self._bytes(audio)
        self._check_length(len(data) / self._width / self._rate)
        samples = self._floats(data)
        self._taken += len(samples)
        return self._resampler.feed(samples)

    def finish(self) -> FloatArray:
        """The last samples [n], which the change of rate held back."""
        return self._resampler.finish()

    def _bytes(self, audio: Any) -> bytes:
        if isinstance(audio, str):
            self._check_size(len(audio) * 3 // 4 - 2)  # before the work
            audio = from_base64(audio)
        if not isinstance(audio, bytes):
            raise _undecodable("the audio must be a string of base64")
        self._check_size(len(audio))
        return audio

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._most_bytes:
            message = (
                f"a message may have {self._most_bytes} bytes of audio, not {n_bytes}: send it in pieces"
            )
            raise RefusedError(Kind.TOO_LARGE, message, "audio")

    def _check_length(self, seconds: float) -> None:
        if seconds > MOST_SECONDS:
            message = (
                f"a message may have {MOST_SECONDS:.0f} seconds of audio, not {seconds:.0f}: send pieces"
            )
            raise RefusedError(Kind.TOO_LARGE, message, "audio")

    def _floats(self, data: bytes) -> FloatArray:
        if (table := _TABLES.get(self._encoding)) is not None:
            return as_floats(table[np.frombuffer(data, np.uint8)])
        dtype = np.dtype(_TYPES[self._encoding])
        if len(data) % dtype.itemsize:
            raise _undecodable(f"{len(data)} bytes are not whole samples of {self._encoding}")
        return as_floats(np.frombuffer(data, dtype))


def from_base64(text: str) -> bytes:
    """The bytes of base64 with its padding (RFC 4648); the line ends of the command `base64` are accepted.

    Raises RefusedError.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise _undecodable("the audio is not base64") from error


def _undecodable(message: str) -> RefusedError:
    return RefusedError(Kind.INVALID_AUDIO, message, "audio")


def _impossible(message: str) -> RefusedError:
    return RefusedError(Kind.INVALID_REQUEST, message, "audio_format")

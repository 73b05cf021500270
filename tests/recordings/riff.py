"""WAV and its kin, chunk by chunk, so that every field can be wrong."""

import struct

import numpy as np

from .sounds import RATE

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format code in an extensible format, from its third byte on."""


def pcm16(samples: np.ndarray) -> bytes:
    """Little-endian 16-bit samples."""
    return (samples * 32768).astype("<i2").tobytes()


def chunk(kind: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A chunk, padded to an even length; `size`: what its header claims instead of its length."""
    claimed = len(body) if size is None else size
    return kind + struct.pack(f"{order}I", claimed) + body + bytes(len(body) % 2)


def form(
    code: int = PCM, channels: int = 1, rate: int = RATE, bits: int = 16, extension: bytes = b"", order: str = "<"
) -> bytes:
    """A `fmt ` chunk."""
    frame = channels * bits // 8
    fields = struct.pack(f"{order}HHIIHH", code, channels, rate, rate * frame, frame, bits)
    return chunk(b"fmt ", fields + extension, order=order)


def extensible(code: int = PCM, channels: int = 1, rate: int = RATE, bits: int = 16, mask: int = 4) -> bytes:
    """A `fmt ` chunk of WAVE_FORMAT_EXTENSIBLE."""
    extension = struct.pack("<HHIH", 22, bits, mask, code) + GUID
    return form(EXTENSIBLE, channels, rate, bits, extension)


def wav(
    data: bytes,
    *,
    fmt: bytes | None = None,
    size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    riff_size: int | None = None,
    magic: bytes = b"RIFF",
) -> bytes:
    """A WAV file; `size` and `riff_size` are claimed instead of the true ones."""
    body = b"WAVE" + (form() if fmt is None else fmt) + before + chunk(b"data", data, size) + after
    return magic + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def rf64(data: bytes, data_size: int | None = None, riff_size: int = 0xFFFFFFFF) -> bytes:
    """RF64: the lengths are in a `ds64` chunk of 64-bit numbers; `data_size` is claimed there."""
    claimed = len(data) if data_size is None else data_size
    ds64 = chunk(b"ds64", struct.pack("<QQQI", len(data) + 72, claimed, len(data) // 2, 0))
    body = b"WAVE" + ds64 + form() + chunk(b"data", data, 0xFFFFFFFF)
    return b"RF64" + struct.pack("<I", riff_size) + body


def rifx(samples: np.ndarray) -> bytes:
    """Big-endian WAV."""
    data = (samples * 32768).astype(">i2").tobytes()
    body = b"WAVE" + form(order=">") + chunk(b"data", data, order=">")
    return b"RIFX" + struct.pack(">I", len(body)) + body

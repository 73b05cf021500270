"""SHA-256 whose state can be kept: a killed build goes on hashing where it was.

hashlib's state cannot be read. OpenSSL's library shows it, and computes as fast; without it a loop of our
own takes five times as long.
"""

import ctypes
import ctypes.util
import hashlib
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

BLOCK = 64
"""Bytes."""
KEPT = struct.Struct(">8IQ")
"""The eight words, and how many bytes were hashed; what does not fill a block follows."""
FIRST = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
"""The words before the first block (FIPS 180-4, 5.3.3)."""
Words = np.ndarray[Any, np.dtype[np.uint32]]
Compress = Callable[[Words, Words], object]
"""Hashes blocks of 16 words, as they are in memory, into eight words."""


class _Context(ctypes.Structure):
    """OpenSSL's SHA256_CTX, the same in all its versions."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 8),
        ("bits", ctypes.c_uint32 * 2),
        ("data", ctypes.c_uint32 * 16),
        ("rest", ctypes.c_uint),
        ("length", ctypes.c_uint),
    )


def _of_openssl() -> Compress | None:
    """OpenSSL's, which uses what the processor has for it; None: it is not here, or not as it should be."""
    name = ctypes.util.find_library("crypto") if sys.platform == "linux" else None
    try:
        update = ctypes.CDLL(name).SHA256_Update if name else None
    except (OSError, AttributeError):
        return None
    if update is None:
        return None
    update.argtypes = (ctypes.POINTER(_Context), ctypes.c_void_p, ctypes.c_size_t)

    def compress(words: Words, blocks: Words) -> None:
        context = _Context((ctypes.c_uint32 * 8)(*words.tolist()))
        update(context, blocks.ctypes.data, blocks.nbytes)  # without Python's global lock
        words[:] = context.words

    return compress if _is_right(compress) else None


def _is_right(compress: Compress) -> bool:
    words, message = np.array(FIRST, np.uint32), b"abc\x80" + bytes(59) + b"\x18"
    compress(words, np.frombuffer(message, np.uint32))
    return words.astype(">u4").tobytes() == hashlib.sha256(b"abc").digest()


@cache
def _compress() -> Compress:
    if found := _of_openssl():
        return found
    from .sha256_loop import compress  # slow: it compiles a loop

    return lambda words, blocks: compress(words, blocks.reshape(-1, BLOCK // 4))


class Sha256:
    """As hashlib's, with a `state` from which another one goes on."""

    def __init__(self, state: str | None = None) -> None:
        """Raises ValueError for what is no state."""
        self._words, self._length, self._rest = np.array(FIRST, np.uint32), 0, b""
        if state is not None:
            kept = bytes.fromhex(state)
            if len(kept) < KEPT.size:
                raise ValueError("no state of a SHA-256")
            *words, self._length = KEPT.unpack_from(kept)
            self._words, self._rest = np.array(words, np.uint32), kept[KEPT.size :]
            if len(self._rest) != self._length % BLOCK:
                raise ValueError("no state of a SHA-256")

    @property
    def length(self) -> int:
        """Bytes hashed."""
        return self._length

    @property
    def state(self) -> str:
        """What it takes to go on from here, as text."""
        return (KEPT.pack(*map(int, self._words), self._length) + self._rest).hex()

    def update(self, data: bytes | memoryview) -> None:
        """Hash more bytes."""
        self._length += len(data)
        if self._rest:
            missing = BLOCK - len(self._rest)
            self._rest, data = self._rest + bytes(data[:missing]), data[missing:]
            if len(self._rest) < BLOCK:
                return
            self._blocks(self._rest)
        whole = len(data) - len(data) % BLOCK
        self._blocks(data[:whole])
        self._rest = bytes(data[whole:])

    def hexdigest(self) -> str:
        """The hash of all bytes so far."""
        last = Sha256(self.state)
        zeros = bytes((BLOCK - 9 - self._length) % BLOCK)
        last.update(b"\x80" + zeros + struct.pack(">Q", 8 * self._length))
        return struct.pack(">8I", *map(int, last._words)).hex()

    def _blocks(self, data: bytes | memoryview) -> None:
        if len(data):
            _compress()(self._words, np.frombuffer(data, np.uint32))

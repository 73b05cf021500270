"""SHA-256 whose state can be kept: a killed build goes on hashing where it was.

hashlib's state cannot be read. The system's library shows it (OpenSSL's on Linux, CommonCrypto on macOS), and
computes as fast; without it a loop of our own takes five times as long.
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


LIBRARIES = {"linux": ("crypto", "SHA256"), "darwin": ("System", "CC_SHA256")}
"""Platform -> its library, and what the names of the functions begin with."""
CONTEXT_BYTES = 512
"""More than any library's context has."""
MOST = 2**30
"""Bytes at a time: CommonCrypto counts them in 32 bits."""


def _of_library() -> Compress | None:
    """The library's, which uses what the processor has for it; None: it is not here, or not as it should be.

    The eight words are where they are found in a new context.
    """
    try:
        name, prefix = LIBRARIES[sys.platform]
        library = ctypes.CDLL(ctypes.util.find_library(name))
        begin, update = getattr(library, f"{prefix}_Init"), getattr(library, f"{prefix}_Update")
    except (LookupError, OSError, AttributeError):
        return None
    begin.argtypes = (ctypes.c_void_p,)
    update.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    new = ctypes.create_string_buffer(CONTEXT_BYTES)
    begin(new)
    before, found, behind = new.raw.partition(np.array(FIRST, np.uint32).tobytes())
    if not found:
        return None

    def compress(words: Words, blocks: Words) -> None:
        context = ctypes.create_string_buffer(before + words.tobytes() + behind, CONTEXT_BYTES)
        update(context, blocks.ctypes.data, blocks.nbytes)  # without Python's global lock
        words[:] = np.frombuffer(context.raw, np.uint32, len(words), len(before))

    return compress if _is_right(compress) else None


def _is_right(compress: Compress) -> bool:
    words, text = np.array(FIRST, np.uint32), bytes(range(183))
    padded = text + b"\x80" + struct.pack(">Q", 8 * len(text))
    compress(words, np.frombuffer(padded, np.uint32))
    return words.astype(">u4").tobytes() == hashlib.sha256(text).digest()


@cache
def _compress() -> Compress:
    if found := _of_library():
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
        for first in range(0, len(data), MOST):
            _compress()(self._words, np.frombuffer(data[first : first + MOST], np.uint32))

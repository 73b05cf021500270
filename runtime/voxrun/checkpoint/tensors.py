"""Headers of safetensors files, which are untrusted: checked before any other parser reads the file.

Format: 8 bytes little-endian header length, a JSON header, the data without holes. Shapes, types and offsets
are checked against each other and the file's size: MLX's parser accepts negative lengths, overlapping data,
holes, and a name twice.
Specification: the safetensors README, and the limits below of what MLX can represent.
"""

import math
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from voxrun.arrays import Array
from voxrun.errors import WeightsError
from voxrun.files.downloads import failed_download
from voxrun.files.paths import StrictError, open_regular, reason
from voxrun.files.strict import parse
from voxrun.messages import shown

PREFIX = 8
"""Bytes of the header's length, at the start of the file."""
ITEM_SIZE = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8},
    **{"BF16": 2, "F16": 2, "F32": 4, "F64": 8, "C64": 8},
    **{"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1},
}
"""Type -> bytes of a value, for all types of safetensors that take whole bytes."""
UNREADABLE = ("F64", "F8_E4M3", "F8_E5M2", "F8_E8M0")
"""Those that MLX does not read."""
MAX_HEADER = 8 * 2**20
"""The upstream's 711 tensors take 90 kB."""
MAX_TENSORS = 20_000
"""The upstream has 711; quantized, at most three times as many."""
MAX_NAME = 500
MAX_AXES = 8
MAX_LENGTH = 2**31 - 1
"""Of an axis: MLX stores lengths in 32 bits."""
MAX_REACH = 2**60
"""Product of all lengths but zeros: MLX multiplies them in 64 bits, even for empty tensors."""
METADATA = "__metadata__"


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry in a header; `start` is its offset in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int = 0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.size * ITEM_SIZE[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row along the first axis."""
        return self.nbytes // self.rows if self.rows else 0

    @property
    def rows(self) -> int:
        """Rows along the first axis; 1 for a scalar."""
        return self.shape[0] if self.shape else 1


def read_header_of(path: Path) -> list[Tensor]:
    """The tensors of a file that MLX can read, in the order of their data. Raises WeightsError."""
    try:
        with open_regular(path) as file:
            tensors = read_header(file, path)
    except (OSError, StrictError) as error:
        raise WeightsError(f"{path}: {reason(error)}") from error
    for tensor in tensors:
        if tensor.dtype in UNREADABLE:
            raise WeightsError(f"{path}: {shown(tensor.name)} has the dtype {tensor.dtype}")
    return tensors


def read_header(file: BinaryIO, origin: Path | str) -> list[Tensor]:
    """The tensors of an open file. Raises WeightsError, OSError."""
    total = os.fstat(file.fileno()).st_size
    return parse_header(file.read(header_length(file.read(PREFIX), total, origin)), total, origin)


def header_length(prefix: bytes, total: int, origin: Path | str) -> int:
    """The length of the JSON behind a file's first 8 bytes; `total` is its size. Raises WeightsError."""
    length = int(struct.unpack("<Q", prefix)[0]) if len(prefix) == PREFIX else 0
    if not 2 <= length <= min(MAX_HEADER, total - PREFIX):
        failure = failed_download(prefix) or "not a safetensors file, or cut off in its header"
        raise WeightsError(f"{origin}: {failure}")
    return length


def parse_header(text: bytes, total: int, origin: Path | str) -> list[Tensor]:
    """The tensors of a header's JSON, in the order of their data; `total` is the file's size in bytes.

    Raises WeightsError.
    """
    try:
        tensors = _tensors(text)
    except StrictError as error:
        raise WeightsError(f"{origin}: its header is damaged ({error})") from error
    end = PREFIX + len(text)
    for tensor in tensors:
        if tensor.start != end:
            raise WeightsError(f"{origin}: the data of {shown(tensor.name)} overlaps or leaves a hole")
        end += tensor.nbytes
    if end != total:
        kind = "truncated" if total < end else "longer than its header says"
        raise WeightsError(f"{origin}: {kind}: {total:,} bytes instead of {end:,}; download it again")
    return tensors


def _tensors(text: bytes) -> list[Tensor]:
    raw = parse(text)
    if not isinstance(raw, dict) or not text.startswith(b"{"):
        raise StrictError("it is no JSON object")
    metadata = raw.pop(METADATA, None)
    if metadata is None:  # as MLX writes it
        metadata = {}
    if not isinstance(metadata, dict) or not all(type(value) is str for value in metadata.values()):
        raise StrictError(f"{METADATA} holds something else than strings")
    if len(raw) > MAX_TENSORS:
        raise StrictError(f"it names {len(raw):,} tensors")
    tensors = [_tensor(name, entry, PREFIX + len(text)) for name, entry in raw.items()]
    return sorted(tensors, key=lambda tensor: (tensor.start, tensor.nbytes))


def _tensor(name: str, raw: Any, base: int) -> Tensor:
    if len(name) > MAX_NAME or "\0" in name:
        raise StrictError(f"{shown(name)} is no name of a tensor")
    if not isinstance(raw, dict) or raw.keys() != {"dtype", "shape", "data_offsets"}:
        raise StrictError(f"{shown(name)} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = raw["dtype"], raw["shape"], raw["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZE:
        raise StrictError(f"{shown(name)} has the dtype {shown(dtype)}")
    plausible = _are_counts(shape, MAX_LENGTH) and len(shape) <= MAX_AXES
    if not plausible or math.prod(max(1, n) for n in shape) > MAX_REACH:
        raise StrictError(f"{shown(name)} has the shape {shown(shape)}")
    if not _are_counts(offsets, 2**63) or len(offsets) != 2:
        raise StrictError(f"{shown(name)} has the offsets {shown(offsets)}")
    tensor = Tensor(name, dtype, tuple(shape), base + offsets[0])
    if offsets[1] - offsets[0] != tensor.nbytes:
        raise StrictError(f"{shown(name)}: shape and offsets do not agree")
    return tensor


def _are_counts(values: Any, most: int) -> bool:
    """Whether it is a list of integers from 0 to `most`; true and 1.0 are not."""
    return isinstance(values, list) and all(type(n) is int and 0 <= n <= most for n in values)


DTYPES = {"BF16": "<u2", "F16": "<u2", "F32": "<f4", "U32": "<u4", "U8": "u1"}
"""16-bit floats as their bit patterns: NumPy has no bfloat16."""


def map_file(path: Path, tensors: Iterable[Tensor]) -> dict[str, Array]:
    """The tensors of a file's header, mapped, by name; those of types not in DTYPES are left out."""
    import numpy as np

    data = np.memmap(path, np.uint8, mode="r")
    return {
        t.name: data[t.start : t.start + t.nbytes].view(DTYPES[t.dtype]).reshape(t.shape)
        for t in tensors
        if t.dtype in DTYPES
    }

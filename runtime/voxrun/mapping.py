"""A safetensors file as NumPy arrays that lie in it: reading one reads its pages, and nothing is copied."""

import json
from pathlib import Path
from typing import Any

import numpy as np

Array = np.typing.NDArray[Any]

LENGTH = 8
"""Bytes that hold the header's length."""
DTYPES = {"BF16": "<u2", "F16": "<u2", "F32": "<f4", "U32": "<u4", "U8": "u1"}
"""Half floats are their bit patterns: NumPy does not know both."""


def map_file(path: Path) -> dict[str, Array]:
    """The tensors of a file that MLX has read before, by name; those of other types are left out."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, np.uint8, mode="r", offset=LENGTH + length)
    return {
        name: data[slice(*entry["data_offsets"])].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in DTYPES
    }

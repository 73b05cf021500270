"""Read an artifact's tensors, dequantized, by rows and in limited memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxbuild.errors import CheckpointError
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.modes import MODES, Quantization
from voxrun.checkpoint.layout import Layout
from voxrun.checkpoint.quantization import check_quantization, module_settings
from voxrun.checkpoint.tensors import DTYPES, Tensor
from voxrun.device import mx
from voxrun.files.objects import read_member

Floats = npt.NDArray[np.float32]
PACKED = ("scales", "biases")
"""Leaves of a module with packed weights, in addition to `weight`."""


@dataclass(frozen=True)
class Weight:
    """A tensor of the model, stored plain or quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """safetensors dtype of its values or, if it is quantized, of its scales."""
    quantization: Quantization | None
    parts: tuple[Tensor, ...]
    """The stored tensors: itself, or packed weights, scales and, in some modes, biases."""

    @property
    def rows(self) -> int:
        """Its length along the first axis."""
        return self.shape[0] if self.shape else 1

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts)

    def values(self, chunk: Sequence[bytes]) -> Floats:
        """The values of rows of the parts, dequantized without rounding, as flat float32."""
        arrays = [
            _to_mlx(data, part.dtype, (len(data) // part.row_bytes, *part.shape[1:]))
            for part, data in zip(self.parts, chunk, strict=True)
        ]
        with mx.stream(mx.cpu):
            return np.array(self._dequantized(arrays).astype(mx.float32)).reshape(-1)

    def _dequantized(self, arrays: list[mx.array]) -> mx.array:
        how = self.quantization
        if how is None:
            return arrays[0]
        packed, scales = arrays[:2]
        biases = arrays[2].astype(mx.float32) if MODES[how.mode].has_biases else None
        if biases is not None:
            scales = scales.astype(mx.float32)
        return mx.dequantize(packed, scales, biases, how.group_size, how.bits, how.mode)


def _to_mlx(data: bytes, dtype: str, shape: tuple[int, ...]) -> mx.array:
    array = mx.array(np.frombuffer(data, DTYPES[dtype]).reshape(shape))
    return array.view(mx.bfloat16) if dtype == "BF16" else array


class Artifact:
    """A folder of MLX weights: `weights` by name, config.json without its quantization, and rows of any."""

    def __init__(self, folder: Path) -> None:
        """Raises CheckpointError, ConfigError or WeightsError if the artifact is invalid or unreadable."""
        self.folder = folder
        self.config = read_member(folder, "config.json")
        self._files: dict[str, Checkpoint] = {}
        with ExitStack() as opened:
            for path in Layout(folder).weight_files:
                shard = opened.enter_context(Checkpoint(path))
                self._files |= dict.fromkeys(shard.tensors, shard)
            quantization = self.config.pop("quantization", {})
            check_quantization(quantization, str(folder / "config.json"))
            self.weights = self._weights(quantization)
            self._opened = opened.pop_all()

    def __enter__(self) -> "Artifact":
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def chunks(self, weight: Weight, step: int) -> Iterator[list[bytes]]:
        """The stored bytes of each part, `step` rows at a time."""
        parts = (self._files[p.name].rows(p, step * p.row_bytes) for p in weight.parts)
        for chunk in zip(*parts, strict=True):
            yield [bytes(data) for _, data in chunk]  # bytes are compared faster than views

    def _weights(self, quantization: Mapping[str, Any]) -> dict[str, Weight]:
        tensors = {name: file.tensors[name] for name, file in self._files.items()}
        weights = {}
        for name, tensor in tensors.items():
            module, _, leaf = name.rpartition(".")
            if leaf == "weight" and f"{module}.scales" in tensors:
                weights[name] = self._packed(module, tensors, quantization)
            elif leaf not in PACKED or f"{module}.weight" not in tensors:
                weights[name] = Weight(name, tensor.shape, tensor.dtype, None, (tensor,))
        return weights

    def _packed(self, module: str, tensors: Mapping[str, Tensor], quantization: Mapping[str, Any]) -> Weight:
        chosen = module_settings(quantization, module) or {}
        leaves = [f"{module}.{leaf}" for leaf in ("weight", *PACKED)]
        parts = tuple(tensors[leaf] for leaf in leaves if leaf in tensors)
        try:
            how = Quantization(chosen["mode"], chosen["bits"], chosen["group_size"])
            shape = (parts[0].shape[0], parts[0].shape[1] * 32 // how.bits)
            stored = {part.name.rpartition(".")[2]: (part.dtype, part.shape) for part in parts}
            fits = stored == how.outputs(shape, parts[1].dtype)
        except (KeyError, TypeError, IndexError, ZeroDivisionError):
            fits = False
        if not fits:
            raise CheckpointError(f"{self.folder}: {module} is not quantized as config.json says")
        return Weight(f"{module}.weight", shape, parts[1].dtype, how, parts)

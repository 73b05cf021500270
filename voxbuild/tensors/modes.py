"""The quantization modes of MLX. A new one is a row, and a kernel if no `quantize.KERNELS` computes it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Mode:
    """The settings that a mode allows, and what it stores in addition to the packed weights."""

    bits: tuple[int, ...]
    group_sizes: tuple[int, ...]
    scale_dtype: str | None
    """safetensors dtype of the scales; None: the weights' dtype."""
    has_biases: bool
    kernel: str
    """What computes it: a key of `quantize.KERNELS`."""


MODES = {
    "affine": Mode((2, 3, 4, 5, 6, 8), (32, 64, 128), None, has_biases=True, kernel="affine"),
    "mxfp4": Mode((4,), (32,), "U8", has_biases=False, kernel="small_floats"),
    "mxfp8": Mode((8,), (32,), "U8", has_biases=False, kernel="small_floats"),
    "nvfp4": Mode((4,), (16,), "U8", has_biases=False, kernel="small_floats"),
}


DEFAULT_MODE = "affine"
"""The mode if config.json has none."""
PLAIN = "none"
"""The method without a search, see `methods`."""


@dataclass(frozen=True)
class Quantization:
    """How one matrix is quantized: groups of `group_size` along its last axis, `bits` each."""

    mode: str
    bits: int
    group_size: int
    search: str = PLAIN

    @property
    def in_words(self) -> str:
        """The settings, for people."""
        search = "" if self.search == PLAIN else f", {self.search}"
        return f"{self.mode} {self.bits} bit / {self.group_size}{search}"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape can be quantized: a matrix whose rows are whole groups."""
        return len(shape) == 2 and shape[1] % self.group_size == 0

    def outputs(self, shape: tuple[int, ...], dtype: str) -> dict[str, tuple[str, tuple[int, int]]]:
        """Leaf -> (safetensors dtype, shape) of the stored tensors of a matrix [rows, columns]."""
        mode = MODES[self.mode]
        rows, columns = shape
        groups = (rows, columns // self.group_size)
        leaves = {
            "weight": ("U32", (rows, columns * self.bits // 32)),
            "scales": (mode.scale_dtype or dtype, groups),
        }
        if mode.has_biases:
            leaves["biases"] = (dtype, groups)
        return leaves

    def as_config(self) -> dict[str, Any]:
        """The entry in config.json: voxmlx's two keys, and the mode if it is not affine; never the search."""
        config = asdict(self)
        del config["search"]
        if self.mode == DEFAULT_MODE:
            del config["mode"]
        return config

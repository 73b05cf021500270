"""An artifact as mlx-audio reads it, even if it is quantized where mlx-audio never is: for measuring only.

The inner matrices of the adaptive norms (0.1 % of the weights) are dequantized; all else is voxbuild's view.
voxmlx reads a uniformly quantized artifact as it is.

    python benchmarks/peers.py ARTIFACT OUT
"""

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.convert.views import write_view
from voxbuild.recipes.loaders import MLX_AUDIO_LOADER
from voxbuild.tensors.checkpoint import Checkpoint
from voxrun.checkpoint.layout import Layout
from voxrun.checkpoint.tensors import Tensor
from voxrun.device import mx


class Plain(Checkpoint):
    """A shard in which the modules that mlx-audio never quantizes are matrices in bfloat16."""

    def __init__(self, path: Path, quantization: Mapping[str, Any]) -> None:
        super().__init__(path)
        self._quantization = quantization
        stored = mx.load(str(path))
        assert isinstance(stored, dict)
        self._matrices = {
            f"{module}.weight": self._dequantized(module, stored)
            for module in (name.removesuffix(".scales") for name in stored if name.endswith(".scales"))
            if any(part in MLX_AUDIO_LOADER.dialect.native_module(module) for part in MLX_AUDIO_LOADER.plain)
        }
        self.tensors = {name: self._entry(name, t) for name, t in self.tensors.items() if self._is_kept(name)}

    def rows(self, tensor: Tensor, chunk_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """As `Checkpoint` says."""
        if tensor.name in self._matrices:
            yield tensor.shape[0], np.array(self._matrices[tensor.name].view(mx.uint16)).data.cast("B")
        else:
            yield from super().rows(tensor, chunk_bytes)

    def _dequantized(self, module: str, stored: dict[str, mx.array]) -> mx.array:
        own = self._quantization.get(module, self._quantization)
        settings = {key: own[key] for key in ("group_size", "bits", "mode") if key in own}
        packed = [stored.get(f"{module}.{leaf}") for leaf in ("weight", "scales", "biases")]
        return mx.dequantize(*packed, **settings).astype(mx.bfloat16)

    def _is_kept(self, name: str) -> bool:
        module, _, leaf = name.rpartition(".")
        return leaf not in ("scales", "biases") or f"{module}.weight" not in self._matrices

    def _entry(self, name: str, tensor: Tensor) -> Tensor:
        matrix = self._matrices.get(name)
        return tensor if matrix is None else Tensor(name, "BF16", tuple(matrix.shape))


def convert(source: Path, target: Path) -> None:
    """Write the view of an artifact, streaming."""
    quantization = json.loads((source / "config.json").read_text(encoding="utf-8")).get("quantization", {})
    target.mkdir(parents=True, exist_ok=True)
    opened = partial(Plain, quantization=quantization)
    write_view(MLX_AUDIO_LOADER, source, target, lambda done: None, opened)


def mlx_audio_view(source: Path, work: Path) -> Path:
    """The view of an artifact in `work`, made if this state of it has none yet."""
    files = [path.stat() for path in Layout(source).weight_files]
    stamp, size = max(file.st_mtime_ns for file in files), sum(file.st_size for file in files)
    target = work / f"mlx-audio-{source.resolve().parent.name}-{source.name}-{size}-{stamp}"
    if not target.is_dir():
        begun = target.with_suffix(".part")
        shutil.rmtree(begun, ignore_errors=True)
        convert(source, begun)
        begun.rename(target)
    return target


def main() -> None:
    """Write the folder."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("artifact", type=Path)
    p.add_argument("out", type=Path)
    args = p.parse_args()
    convert(args.artifact, args.out)


if __name__ == "__main__":
    main()

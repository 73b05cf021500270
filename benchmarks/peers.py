"""The artifact as mlx-audio reads it: the same packed weights under its names, with its configuration.

mlx-audio never quantizes what is inside of its adaptive norms: those (0.1 % of the weights) are dequantized.
voxmlx reads a uniformly quantized artifact as it is.

    python benchmarks/peers.py ARTIFACT OUT
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.checkpoint import Checkpoint, CheckpointWriter, Tensor
from voxrun.device import mx
from voxrun.dialects import MLX_AUDIO
from voxrun.tokenizer import TOKENIZER_FILE
from voxrun.weights import read_tensors, weight_files

CHUNK = 8 * 2**20
NEVER_QUANTIZED = ("norm", "ada_rms_norm", "conv_layers")
"""What mlx-audio leaves out, whatever the file holds: its `model_quant_predicate`."""


@dataclass(frozen=True)
class View:
    """An artifact seen through mlx-audio's eyes."""

    config: dict[str, Any]
    tensors: dict[str, mx.array]

    @classmethod
    def of(cls, folder: Path) -> "View":
        """Nothing is read yet but headers."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(config, read_tensors(folder))

    def is_plain(self, module: str) -> bool:
        """Whether a quantized module must be dequantized."""
        name = MLX_AUDIO.native(f"{module}.weight")
        return f"{module}.scales" in self.tensors and any(part in name for part in NEVER_QUANTIZED)

    def entry(self, tensor: Tensor) -> Tensor | None:
        """The tensor in the view's header; None for the scales of what is dequantized."""
        module, _, leaf = tensor.name.rpartition(".")
        name = MLX_AUDIO.native(tensor.name)
        if not self.is_plain(module):
            return Tensor(name, tensor.dtype, tensor.shape)
        return Tensor(name, "BF16", self.dequantized(module).shape) if leaf == "weight" else None

    def data(self, tensor: Tensor, checkpoint: Checkpoint) -> Iterator[bytes]:
        """The tensor's bytes in the view."""
        module = tensor.name.rpartition(".")[0]
        if self.is_plain(module):
            yield np.array(self.dequantized(module).view(mx.uint16)).tobytes()
        else:
            yield from (data for _, data in checkpoint.rows(tensor, CHUNK))

    def dequantized(self, module: str) -> mx.array:
        """A module's matrix in bfloat16."""
        quantization = self.config["quantization"]
        own = quantization.get(module, quantization)
        settings = {key: own[key] for key in ("group_size", "bits", "mode") if key in own}
        packed = [self.tensors.get(f"{module}.{leaf}") for leaf in ("weight", "scales", "biases")]
        return mx.dequantize(*packed, **settings).astype(mx.bfloat16)  # type: ignore[arg-type]

    def native_config(self) -> dict[str, Any]:
        """config.json in mlx-audio's layout."""
        return mlx_audio_config(self.config) | {
            "quantization": dict(
                map(_native_setting, *zip(*self.config["quantization"].items(), strict=True))
            ),
        }


def mlx_audio_config(params: dict[str, Any]) -> dict[str, Any]:
    """The keys of params.json as mlx-audio wants them."""
    whisper = params["multimodal"]["whisper_model_args"]
    return {
        "model_type": "voxtral_realtime",
        "decoder": {k: v for k, v in params.items() if k not in ("multimodal", "quantization")},
        "encoder_args": whisper["encoder_args"] | whisper["downsample_args"],
    }


def _native_setting(key: str, value: Any) -> tuple[str, Any]:
    is_path = isinstance(value, dict | bool)
    return (MLX_AUDIO.native(f"{key}.weight").removesuffix(".weight") if is_path else key), value


def convert(source: Path, target: Path) -> None:
    """Write the view of an artifact, streaming."""
    view = View.of(source)
    target.mkdir(parents=True, exist_ok=True)
    for path in weight_files(source):
        with Checkpoint(path) as checkpoint:
            _write(view, checkpoint, target / path.name)
    (target / "config.json").write_text(json.dumps(view.native_config()), encoding="utf-8")
    shutil.copyfile(source / TOKENIZER_FILE, target / TOKENIZER_FILE)


def _write(view: View, checkpoint: Checkpoint, path: Path) -> None:
    entries = {name: view.entry(tensor) for name, tensor in checkpoint.tensors.items()}
    kept = {name: entry for name, entry in entries.items() if entry is not None}
    writer = CheckpointWriter(path, list(kept.values()))
    try:
        for name in kept:
            for data in view.data(checkpoint.tensors[name], checkpoint):
                writer.write(data)
        writer.finish()
    finally:
        writer.close()


def mlx_audio_view(source: Path, work: Path) -> Path:
    """The view of an artifact in `work`, made if this state of it has none yet."""
    stamp = max(path.stat().st_mtime_ns for path in weight_files(source))
    size = sum(path.stat().st_size for path in weight_files(source))
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

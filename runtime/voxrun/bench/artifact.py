"""What a model's files hold, by their headers: bytes that a pass reads, and the work of the encoder."""

import hashlib
import math
from collections import Counter
from pathlib import Path

from voxrun.checkpoint.layout import Layout
from voxrun.files.hashes import HASH_BLOCK
from voxrun.model.description import weights
from voxrun.model.voxtral import VoxtralRealtime, parameter_shapes

from .results import Weights

ENCODER, DECODER, HEAD = ("encoder.", "adapter."), "language_model.", "language_model.embed_tokens."
OF_THE_DELAY = ".ada_norm."
"""Weights that are read once for each session."""


def describe(folder: Path, model: VoxtralRealtime) -> Weights:
    """The model in a folder, which was loaded from there. Raises ConfigError, WeightsError."""
    layout, config = Layout(folder), model.config
    read = bytes_read(layout)
    decoder = config.decoder
    return Weights(
        sha256=_sha256(layout.weight_files),
        stored=weights(model),
        dtype=str(model.dtype).removeprefix("mlx.core."),
        total=sum(tensor.nbytes for header in layout.headers.values() for tensor in header),
        decoder=read["decoder"],
        head=read["head"],
        encoder=read["encoder"],
        encoder_products=_encoder_products(model),
        window_entry=2 * decoder.n_layers * decoder.n_kv_heads * decoder.head_dim * model.dtype.size,
        window=decoder.sliding_window,
    )


def bytes_read(layout: Layout) -> Counter[str]:
    """Bytes of `encoder` (with the adapter), `decoder` and `head`: what a pass of each reads."""
    read: Counter[str] = Counter()
    for header in layout.headers.values():
        for tensor in header:
            if part := _part(layout.dialect.canonical(tensor.name) or ""):
                read[part] += tensor.nbytes
    return read


def _part(name: str) -> str | None:
    if name.startswith(ENCODER):
        return "encoder"
    if name.startswith(HEAD):
        return "head"
    return "decoder" if name.startswith(DECODER) and OF_THE_DELAY not in name else None


def _encoder_products(model: VoxtralRealtime) -> int:
    """Multiplications of weights for a position; attention's scores are left out."""
    config, total = model.config, 0
    for name, shape in parameter_shapes(config).items():
        if len(shape) < 2 or not name.startswith(ENCODER):
            continue
        rows = config.downsample_factor  # frames behind the convolutions
        if name.startswith("adapter."):
            rows = 1
        elif name.startswith("encoder.conv1."):
            rows = config.mel_per_position
        total += rows * math.prod(shape)
    return total


def _sha256(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK):
                digest.update(block)
    return digest.hexdigest()

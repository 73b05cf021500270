"""Mistakes that implementations make: each builds a voxrun with one of them, which the suite must notice."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cases import Case

from voxrun.checkpoint.config import AudioConfig, ModelConfig
from voxrun.device import mx, nn
from voxrun.model import decoder, functions
from voxrun.model.load import assemble, load_model, read_folder
from voxrun.stream.mel import LogMel
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

Tensors = dict[str, mx.array]
Patch = pytest.MonkeyPatch


def unchanged(folder: Path) -> Transcriber:
    return Transcriber(load_model(folder), Tokenizer(folder))


def rebuilt(
    folder: Path,
    config: Callable[[ModelConfig], ModelConfig] = lambda config: config,
    tensors: Callable[[ModelConfig, Tensors], Tensors] = lambda _, tensors: tensors,
) -> Transcriber:
    """The folder's model with another configuration, or other tensors."""
    original, stored = read_folder(folder)
    changed = tensors(original, stored)
    return Transcriber(assemble(config(original), changed, "a mutant"), Tokenizer(folder))


def window(stack: str, by: int, folder: Path, patch: Patch) -> Transcriber:
    """Queries see a key too many, or one too few."""

    def other(config: ModelConfig) -> ModelConfig:
        sizes = getattr(config, stack)
        return replace(config, **{stack: replace(sizes, sliding_window=sizes.sliding_window + by)})

    return rebuilt(folder, other)


def eps(stack: str, folder: Path, patch: Patch) -> Transcriber:
    """Many norms' default, 1e-6."""
    return rebuilt(folder, lambda c: replace(c, **{stack: replace(getattr(c, stack), norm_eps=1e-6)}))


def halves(stack: str, folder: Path, patch: Patch) -> Transcriber:
    """Rotary positions turn dimension i with i + head_dim/2, not with its neighbour: the rows are moved."""

    def other(config: ModelConfig, tensors: Tensors) -> Tensors:
        sizes, path = getattr(config, stack), {"decoder": "language_model"}.get(stack, stack)
        return {
            name: _to_pairs(tensor, sizes.head_dim)
            if name.startswith(path) and ("q_proj" in name or "k_proj" in name)
            else tensor
            for name, tensor in tensors.items()
        }

    return rebuilt(folder, tensors=other)


def _to_pairs(tensor: mx.array, head_dim: int) -> mx.array:
    split = tensor.reshape(-1, 2, head_dim // 2, *tensor.shape[1:])
    return split.swapaxes(1, 2).reshape(tensor.shape)


def tanh_gelu(folder: Path, patch: Patch) -> Transcriber:
    """The approximation, everywhere."""
    patch.setattr(functions, "_gelu", nn.gelu_approx)
    patch.setattr(nn, "gelu", nn.gelu_approx)
    return unchanged(folder)


def symmetric_hann(folder: Path, patch: Patch) -> Transcriber:
    """numpy's window, made for filters: its last point is zero again."""
    periodic = LogMel.__init__

    def init(self: LogMel, audio: AudioConfig) -> None:
        periodic(self, audio)
        self._window = np.hanning(audio.window_size)

    patch.setattr(LogMel, "__init__", init)
    return unchanged(folder)


def half_delay(folder: Path, patch: Patch) -> Transcriber:
    """The delay's embedding built in bfloat16."""
    exact = decoder.delay_embedding
    patch.setattr(
        decoder, "delay_embedding", lambda *a: mx.array(exact(*a)).astype(mx.bfloat16).astype(mx.float32)
    )
    return unchanged(folder)


@dataclass(frozen=True)
class Mutant:
    """A mistake, a case that shows it, and the stages that it must put beyond their tolerances.

    No other may be, for each is fed what the oracle gives: only `whole` adds mistakes up.
    """

    name: str
    make: Callable[[Path, Patch], Transcriber]
    case: Case
    red: frozenset[str]


MEL, GAINS = frozenset({"mel"}), frozenset({"gains", "logits", "steps"})
ENCODER, DECODER = frozenset({"encoder"}), frozenset({"logits", "steps"})
GELU = frozenset({"stem", "encoder", "adapter", "gains", "logits", "steps"})

NARROW = Case("window-20", "noise, 2 s", 80)
WIDE = Case("window-750", "chirps, 16.3 s", 2400)
ODD = Case("window-37", "noise, 50001 samples")

MUTANTS = [
    *(
        Mutant(f"encoder window {by:+d}, {case.model}", partial(window, "encoder", by), case, ENCODER)
        for by in (-1, 1)
        for case in (NARROW, WIDE, ODD)
    ),
    *(Mutant(f"decoder window {by:+d}", partial(window, "decoder", by), ODD, DECODER) for by in (-1, 1)),
    Mutant("encoder RoPE in halves", partial(halves, "encoder"), NARROW, ENCODER),
    Mutant("decoder RoPE in halves", partial(halves, "decoder"), NARROW, DECODER),
    Mutant("encoder eps 1e-6", partial(eps, "encoder"), NARROW, ENCODER),
    Mutant("decoder eps 1e-6", partial(eps, "decoder"), NARROW, DECODER),
    Mutant("tanh-GELU", tanh_gelu, NARROW, GELU),
    Mutant("symmetric Hann", symmetric_hann, NARROW, MEL),
    Mutant("delay in bfloat16", half_delay, WIDE, GAINS),
]

"""What is held against the oracle: random models of awkward sizes and the embedded one, made and real sound.

Each random model meets every delay, every recording meets two delays or three: not the full product.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from committed import CHECKPOINT, CLIPS, SHOWN
from small_models import random_tensors, small_params, write_mistral

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx

RATE = 16000
EOS = 2
TINY = "tiny"
DELAYS_MS = (80, 160, 240, 960, 1200, 2400)
"""Beside the default of 480."""


@dataclass(frozen=True)
class RandomModel:
    """Sizes that differ from `small_params`, and how the file holds the weights."""

    encoder: dict[str, Any]
    decoder: dict[str, Any] = field(default_factory=dict)
    dtype: mx.Dtype = mx.float32

    def write(self, folder: Path) -> Path:
        """A folder in Mistral's layout; the tokenizer is the embedded model's."""
        params = small_params(encoder=self.encoder, **self.decoder)
        tensors = random_tensors(ModelConfig.from_dict(params))
        for name, part in product(tensors, SCALES):
            if part in name:
                tensors[name] *= SCALES[part]
        tensors[f"{EMBEDDING}.weight"][EOS] = 0.0  # or half of the long recordings would end early
        return write_mistral(folder, params, tensors, self.dtype)


EMBEDDING = "language_model.embed_tokens"
SCALES = {
    # The residual streams begin quietly: beside activations near 1 nobody could tell eps 1e-5 from 1e-6.
    **{"encoder.conv2": 0.1, "adapter.w_out": 0.1, EMBEDDING: 0.1},
    # A position's own part outweighs the window's average: otherwise a model says the same token for ever.
    **{"attention.o_proj": 0.1, "mlp.gate_proj": 3.0},
}

MODELS = {
    "window-20": RandomModel({"sliding_window": 20}),
    "window-750": RandomModel({"sliding_window": 750}, {"ada_rms_norm_t_cond_dim": 32}, mx.bfloat16),
    # Nothing is a multiple of four but what has to be, and the decoder's window slides too.
    "window-37": RandomModel(
        {"sliding_window": 37, "dim": 42, "n_heads": 5, "n_kv_heads": 5, "head_dim": 14},
        {"sliding_window": 45, "dim": 54, "n_heads": 6, "n_kv_heads": 2, "head_dim": 18, "n_layers": 3},
    ),
}


def noise(n: int) -> np.ndarray:
    """Noise [n] that swells and fades, from near silence to loud."""
    loudness = 10 ** (-3 + 2.5 * np.sin(np.arange(n) / 5000) ** 2)
    return (np.random.RandomState(n).standard_normal(n) * loudness * 0.3).astype(np.float32)


def chirps(n: int) -> np.ndarray:
    """Clipped sweeps [n] over all frequencies, one a second, every third second digital silence.

    A little noise: beside pure tones it is the oracle whose float32 spectrum is wrong.
    """
    seconds = np.arange(n) / RATE
    sweep = 1.5 * np.sin(np.pi * (seconds % 1) ** 2 * RATE / 2)
    sound = np.clip(sweep, -1, 1) + 0.01 * np.random.RandomState(n).standard_normal(n)
    return np.where(seconds % 3 < 2, sound, 0).astype(np.float32)


def clips(*names: str) -> np.ndarray:
    """Committed recordings, one after the other."""
    return np.concatenate([soundfile.read(CLIPS / f"{name}.flac", dtype="float32")[0] for name in names])


RECORDINGS: dict[str, Callable[[], np.ndarray]] = {
    "noise, 1279 samples": partial(noise, 1279),
    "noise, 2 s": partial(noise, 32000),
    "noise, 50001 samples": partial(noise, 50001),
    "noise, 16.3 s": partial(noise, 260800),
    "noise, 47 s": partial(noise, 752000),
    "chirps, 16.3 s": partial(chirps, 260800),
    "two chains, 43 s": partial(clips, "chains/chain-1", "chains/chain-2", "prompts/please-try-again"),
}


@dataclass(frozen=True)
class Case:
    """A model, a recording, a delay."""

    model: str
    recording: str
    delay_ms: int = 480

    @property
    def n_delay(self) -> int:
        """The delay in positions."""
        return self.delay_ms // 80

    @property
    def samples(self) -> np.ndarray:
        """The recording [n], one of RECORDINGS or a committed clip."""
        return RECORDINGS.get(self.recording, partial(clips, self.recording))()

    def __str__(self) -> str:
        return f"{self.model}, {self.recording}, {self.delay_ms} ms"


CASES = [
    Case("window-20", "noise, 2 s", 80),
    Case("window-20", "chirps, 16.3 s", 480),
    Case("window-20", "noise, 50001 samples", 960),
    Case("window-20", "noise, 47 s", 2400),
    Case("window-750", "noise, 2 s", 480),
    Case("window-750", "noise, 50001 samples", 80),
    Case("window-750", "chirps, 16.3 s", 2400),
    Case("window-750", "noise, 47 s", 960),
    Case("window-37", "noise, 1279 samples", 480),
    Case("window-37", "noise, 2 s", 2400),
    Case("window-37", "noise, 50001 samples", 480),
    Case("window-37", "chirps, 16.3 s", 960),
    Case("window-37", "noise, 47 s", 80),
    Case(TINY, "prompts/please-try-again"),
    Case(TINY, "digits/digits-1"),
    Case(TINY, SHOWN),
    *(Case(TINY, SHOWN, delay_ms) for delay_ms in DELAYS_MS),
    *(Case(TINY, "two chains, 43 s", delay_ms) for delay_ms in (80, 480, 2400)),
]
GOLDEN_CASES = {
    "tiny": Case(TINY, "digits/digits-1"),
    "window-37": Case("window-37", "noise, 50001 samples"),
    "window-750": Case("window-750", "noise, 16.3 s", 2400),
}
"""What tests/data/golden keeps the oracle's stages of, by file: both windows of both stacks slide."""
DELAYED = [SHOWN, "digits/digits-1"]
"""Clips of which it keeps the greedy tokens at each of DELAYS_MS, too."""


def folder_of(model: str, parent: Path) -> Path:
    """The embedded model's folder, or a random one's, written under `parent`."""
    return CHECKPOINT if model == TINY else MODELS[model].write(parent / model)

"""Mistakes that make activations wider than they should be: each must be seen by `widths.wrong_types`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from voxrun.device import mx
from voxrun.model import attention, encoder, layers
from voxrun.model.decoder import LanguageModel
from voxrun.model.encoder import Adapter, EncoderState
from voxrun.model.layers import Attention, FeedForward
from voxrun.model.ring import RingCache
from voxrun.model.rotary import Rotary
from voxrun.model.voxtral import VoxtralRealtime

Patch = pytest.MonkeyPatch


def wide(array: Any) -> Any:
    """Times a float32 one that is not a Python number."""
    return array * mx.array(1.0)


def widened(owner: Any, name: str) -> Callable[[VoxtralRealtime, Patch], None]:
    """A function or method whose result is wide."""

    def make(_: VoxtralRealtime, patch: Patch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **kwargs: wide(original(*args, **kwargs)))

    return make


def parameter(path: str, leaf: str) -> Callable[[VoxtralRealtime, Patch], None]:
    """A parameter that was not converted."""

    def make(model: VoxtralRealtime, _: Patch) -> None:
        module: Any = dict(model.named_modules())[path]
        module[leaf] = module[leaf].astype(mx.float32)

    return make


def gains(model: VoxtralRealtime, patch: Patch) -> None:
    """The delay's gains stay as they were computed."""
    original = LanguageModel.gains
    patch.setattr(LanguageModel, "gains", lambda self, n, dim, dtype: original(self, n, dim, mx.float32))


def norm_weights(model: VoxtralRealtime, patch: Patch) -> None:
    """Only the norms' weights times the gains are wide, which passes of one delay take."""
    for delay in (6, 30):
        made = model.gains(delay)
        made.weights = [wide(weight) for weight in made.weights or ()]


def mask(model: VoxtralRealtime, patch: Patch) -> None:
    """Attention adds a float32 mask."""

    def attend(q: Any, keys: Any, values: Any, *, scale: float, mask: Any) -> Any:
        shared = q.shape[1] // keys.shape[1]
        keys, values = mx.repeat(keys, shared, axis=1), mx.repeat(values, shared, axis=1)
        scores = (q * scale) @ keys.swapaxes(2, 3) + mx.where(mask, mx.array(0.0), mx.array(-mx.inf))
        return mx.softmax(scores, axis=-1) @ values

    patch.setattr(attention.mx.fast, "scaled_dot_product_attention", attend)


def uncast(model: VoxtralRealtime, patch: Patch) -> None:
    """The mel frames, float32, go into the first convolution as they are."""
    patch.setattr(VoxtralRealtime, "_activations", lambda self, array: mx.array(array))


def tails(model: VoxtralRealtime, patch: Patch) -> None:
    """The silence before the audio."""
    patch.setattr(model, "encoder_state", lambda: EncoderState(model.config, mx.float32))


def cached(model: VoxtralRealtime, patch: Patch) -> None:
    """Rings are allocated without a type."""
    zeros = mx.zeros
    patch.setattr(mx, "zeros", lambda shape, dtype=None: zeros(shape))


def enlarged(model: VoxtralRealtime, patch: Patch) -> None:
    """Rings become wide when they grow."""
    enlarge = RingCache._enlarge

    def other(self: RingCache, needed: int) -> None:
        enlarge(self, needed)
        if self.ring is not None:
            self.ring = wide(self.ring)

    patch.setattr(RingCache, "_enlarge", other)


def head(model: VoxtralRealtime, patch: Patch) -> None:
    """The head's product is computed in float32, not only its result cast."""
    patch.setattr(LanguageModel, "logits", lambda self, x: self.embed_tokens.as_linear(x.astype(mx.float32)))


def half_logits(model: VoxtralRealtime, patch: Patch) -> None:
    """The head's result is not cast."""
    patch.setattr(LanguageModel, "logits", lambda self, x: self.embed_tokens.as_linear(x))


@dataclass(frozen=True)
class Leak:
    """A mistake, where it must be seen, and in which of `widths.STORED` it can be made."""

    name: str
    make: Callable[[VoxtralRealtime, Patch], None]
    seen: str
    stored: str = "affine"


DECODER, ENCODER = "language_model.layers.1", "encoder.layers.0"
LEAKS = [
    Leak("gain", gains, f"{DECODER}.mlp"),
    Leak("gain in a norm's weight", norm_weights, f"{DECODER}.mlp"),
    Leak("rotary table", widened(Rotary, "_rope"), f"{ENCODER}.attention.o_proj"),
    Leak("rotary table when positions are renumbered", widened(Attention, "_turn"), "rings"),
    Leak("mask", mask, f"{ENCODER}.attention.o_proj"),
    Leak("audio embedding", widened(Adapter, "__call__"), "embeddings"),
    Leak("mel", uncast, "encoder.conv1"),
    Leak("tails of the convolutions", tails, "encoder.conv1"),
    Leak("rings", cached, "rings"),
    Leak("rings that grow", enlarged, "rings"),
    Leak("scales", parameter(f"{DECODER}.mlp.down_proj", "scales"), f"{DECODER}.mlp.down_proj"),
    Leak("biases of groups", parameter(f"{DECODER}.mlp.down_proj", "biases"), f"{DECODER}.mlp.down_proj"),
    Leak("scales of fused matrices", parameter(f"{DECODER}.attention.qkv_proj", "scales"), "qkv_proj"),
    Leak("bias", parameter(f"{ENCODER}.attention.o_proj", "bias"), f"{ENCODER}.attention.o_proj"),
    Leak("norm", parameter(f"{DECODER}.ffn_norm", "weight"), f"{DECODER}.ffn_norm"),
    Leak("last norm", parameter("language_model.norm", "weight"), "language_model.norm"),
    Leak("convolution", parameter("encoder.conv2", "weight"), "encoder.conv2"),
    Leak("matrix", parameter(f"{DECODER}.mlp.down_proj", "weight"), f"{DECODER}.mlp.down_proj", "dense"),
    Leak("embedding", parameter("language_model.embed_tokens", "weight"), "head", "dense"),
    Leak("GELU", widened(encoder, "gelu"), "encoder.conv2"),
    Leak("SwiGLU", widened(layers, "gated"), f"{ENCODER}.mlp.down_proj"),
    Leak("a number as an array", widened(FeedForward, "__call__"), f"{ENCODER}.mlp"),
    Leak("head's product", head, "head"),
    Leak("logits", half_logits, "logits"),
]

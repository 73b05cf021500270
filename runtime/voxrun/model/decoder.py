"""The language model, which adds an audio embedding to each position's input (contract steps 7 and 8)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.checkpoint.config import ModelConfig, TransformerConfig
from voxrun.device import mx, nn, own_kernels

from .functions import gelu
from .layers import Attention, FeedForward, Span
from .linear import Embedding, Linear
from .ring import Pass, Place, RingCache

COMPILED_ROWS = 32
"""Rows of a pass that is compiled, at most: each number is traced, and a long prompt comes once a stream."""


class AdaptiveNorm(nn.Module):
    """A bottleneck from the delay's embedding to a gain on the FFN branch (contract step 7)."""

    def __init__(self, dim: int, ada_dim: int) -> None:
        super().__init__()
        self.linear_in = Linear(dim, ada_dim, bias=False)
        self.linear_out = Linear(ada_dim, dim, bias=False)

    def __call__(self, delay: Any) -> Any:
        """Delay embedding [1, dim] -> gain [1, dim]."""
        return 1 + self.linear_out(gelu(self.linear_in(delay)))


class DecoderBlock(nn.Module):
    """Pre-norm attention and SwiGLU, whose input is scaled by the delay's gain."""

    def __init__(self, c: TransformerConfig, ada_dim: int) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(c.dim, eps=c.norm_eps)
        self.attention = Attention(c)
        self.ada_norm = AdaptiveNorm(c.dim, ada_dim)
        self.ffn_norm = nn.RMSNorm(c.dim, eps=c.norm_eps)
        self.mlp = FeedForward(c)

    def __call__(self, x: Any, gain: Any, spans: Sequence[Span], shared: Pass | None = None) -> Any:
        """X [1, n, dim], the rows of all spans, gain [n or 1, dim] or [dim] -> [1, n, dim].

        Gain and `shared` as for `scaled` and `Attention`.
        """
        x = self.attention(self.attn_norm(x), spans, shared, x)
        return self.mlp(self.scaled(x, gain), x)

    def scaled(self, x: Any, gain: Any) -> Any:
        """What the FFN is given: the norm of x, times the gain [n or 1, dim].

        Of one dimension it is the norm's weight times a gain (`Gains.weights`).
        """
        if gain.ndim == 1:
            return mx.fast.rms_norm(x, gain, self.ffn_norm.eps)
        return self.ffn_norm(x) * gain


class Gains(list[Any]):
    """A delay's gain [1, dim] for each layer."""

    weights: list[mx.array] | None = None
    """For passes by MLX in which all rows have this delay: the FFN norms' weights times the gains, [dim].

    None with our kernels: the product is rounded otherwise, and searched weights would change."""


class LanguageModel(nn.Module):
    """Embedding, blocks, norm; the head is the embedding again."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config.decoder
        self.embed_tokens = Embedding(config.vocab_size, c.dim)
        self.layers = [DecoderBlock(c, config.ada_dim) for _ in range(c.n_layers)]
        self.norm = nn.RMSNorm(c.dim, eps=c.norm_eps)
        self._window = c.sliding_window
        self._compiled: Any = None

    def compile_steps(self) -> None:
        """As `VoxtralRealtime.compile_steps` says; traced for each number of rows and capacity of rings."""
        self._compiled = mx.compile(self._step)

    def gains(self, n_delay: int, dim: int, dtype: mx.Dtype) -> Gains:
        """The layers' gains for a delay of `n_delay` positions."""
        delay = mx.array(delay_embedding(n_delay, dim))
        gains = Gains(layer.ada_norm(delay).astype(dtype) for layer in self.layers)
        if not own_kernels():
            pairs = zip(self.layers, gains, strict=True)
            gains.weights = [layer.ffn_norm.weight * gain[0] for layer, gain in pairs]
        mx.eval(gains, gains.weights)
        return gains

    def __call__(self, x: Any, gains: Sequence[Any], spans: Sequence[Sequence[Span]]) -> Any:
        """X [1, n, dim] -> hidden states [1, n, dim] after the last norm; gains and spans of each layer."""
        shared = self.layers[0].attention.begin(spans)
        caches = [layer[0].cache for layer in spans]
        few = len(spans[0]) == 1 and x.shape[1] <= COMPILED_ROWS
        if self._compiled is None or shared is None or not few or caches[0].ring is None:
            return self._through(x, gains, spans, shared)
        place = shared.places[0]
        rings = [cache.ring for cache in caches]
        hidden, rings = self._compiled(x, gains, shared.positions, place.slots, place.mask, rings)
        for cache, ring in zip(caches, rings, strict=True):
            cache.ring = ring
        return hidden

    def _through(
        self, x: Any, gains: Sequence[Any], spans: Sequence[Sequence[Span]], shared: Pass | None
    ) -> Any:
        for layer, gain, own in zip(self.layers, gains, spans, strict=True):
            x = layer(x, gain, own, shared)
        return self.norm(x)

    def _step(
        self, x: mx.array, gains: list[Any], positions: mx.array, slots: mx.array, mask: mx.array, rings: Any
    ) -> Any:
        """A stream's rows as a function of arrays alone: hidden states, and each layer's ring after them."""
        caches = [RingCache.of(self._window, ring) for ring in rings]
        n = x.shape[1]
        shared = Pass(positions, [Place(n, slots, mask)])
        hidden = self._through(x, gains, [[Span(cache, n)] for cache in caches], shared)
        return hidden, [cache.ring for cache in caches]

    def logits(self, hidden: Any) -> Any:
        """Hidden [1, n, dim] -> float32 logits [1, n, vocabulary]."""
        logits = self.embed_tokens.as_linear(hidden)
        return logits if isinstance(logits, np.ndarray) else logits.astype(mx.float32)


def delay_embedding(n_delay: int, dim: int) -> FloatArray:
    """cat(cos, sin)(n_delay * exp(-ln(1e4) i / (dim/2))), float32 [1, dim]: bfloat16 is off by 0.11."""
    angles = n_delay * np.exp(-math.log(1e4) * np.arange(dim // 2) / (dim // 2))
    return np.concatenate([np.cos(angles), np.sin(angles)])[None].astype(np.float32)

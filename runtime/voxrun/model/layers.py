"""Layers that the encoder's and the decoder's blocks share."""

import numpy as np

from voxrun.checkpoint.config import TransformerConfig
from voxrun.device import mx, nn

from .attention import attend
from .cache import KVCache
from .linear import Linear


class Attention(nn.Module):
    """Grouped-query attention with interleaved rotary positions (contract steps 5 and 8)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.q_proj = Linear(c.dim, c.n_heads * c.head_dim, bias=c.use_biases)
        self.k_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=False)
        self.v_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=c.use_biases)
        self.o_proj = Linear(c.n_heads * c.head_dim, c.dim, bias=c.use_biases)
        self._head_dim = c.head_dim
        # mx.fast.rope is about twice as accurate at long positions with frequencies as with a base.
        self._frequencies = mx.array(c.rope_theta ** (np.arange(0, c.head_dim, 2) / c.head_dim), mx.float32)

    def __call__(self, x: mx.array, cache: KVCache) -> mx.array:
        """X [1, n, dim] -> [1, n, dim]; appends n positions to the cache."""
        cache.turn_back(self._rotate)
        q = self._rotate(self._heads(self.q_proj(x)), cache.angle)
        k = self._rotate(self._heads(self.k_proj(x)), cache.angle)
        keys, values = cache.update(k, self._heads(self.v_proj(x)))
        out = attend(q, keys, values, self._head_dim**-0.5, cache.window)
        return self.o_proj(out.transpose(0, 2, 1, 3).reshape(1, x.shape[1], -1))

    def _heads(self, x: mx.array) -> mx.array:
        return x.reshape(1, x.shape[1], -1, self._head_dim).transpose(0, 2, 1, 3)

    def _rotate(self, x: mx.array, offset: int) -> mx.array:
        return mx.fast.rope(
            x,
            self._head_dim,
            traditional=True,
            base=None,
            scale=1.0,
            offset=offset,
            freqs=self._frequencies,
        )


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(c.dim, c.hidden_dim, bias=False)
        self.up_proj = Linear(c.dim, c.hidden_dim, bias=False)
        self.down_proj = Linear(c.hidden_dim, c.dim, bias=c.use_biases)

    def __call__(self, x: mx.array) -> mx.array:
        """X [1, n, dim] -> [1, n, dim]."""
        return self.down_proj(nn.silu(self.gate_proj(x)) * self.up_proj(x))

"""Layers that the encoder's and the decoder's blocks share.

They work on rows of several streams at once: the products and norms are the rows', positions, cache and
attention are each stream's own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voxrun.checkpoint.config import TransformerConfig
from voxrun.device import nn

from .attention import attend
from .cache import KVCache
from .cpu.attention import Seen
from .cpu.layers import outputs
from .functions import gated
from .linear import Linear
from .rotary import rotary


class Span(NamedTuple):
    """The next n rows are one stream's."""

    cache: KVCache
    n: int


class Attention(nn.Module):
    """Grouped-query attention with interleaved rotary positions (contract steps 5 and 8)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.q_proj = Linear(c.dim, c.n_heads * c.head_dim, bias=c.use_biases)
        self.k_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=False)
        self.v_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=c.use_biases)
        self.o_proj = Linear(c.n_heads * c.head_dim, c.dim, bias=c.use_biases)
        self._head_dim = c.head_dim
        self._rotary = rotary(c.rope_theta, c.head_dim)

    def __call__(self, x: Any, spans: Sequence[Span]) -> Any:
        """X [1, n, dim] -> [1, n, dim]; appends each stream's positions to its cache."""
        for cache, _ in spans:
            cache.turn_back(self._turn)
        positions = [(cache.angle, n) for cache, n in spans]
        q, k, v = map(self._heads, outputs([self.q_proj, self.k_proj, self.v_proj], x))
        q = self._rotary.rotate(q, positions)
        k = self._rotary.rotate(k, positions).swapaxes(1, 2)
        v = v.swapaxes(1, 2)
        out = attend(q, self._seen(k, v, spans), self._head_dim**-0.5)
        return self.o_proj(out.reshape(1, x.shape[1], -1))

    def _heads(self, x: Any) -> Any:
        return x.reshape(1, x.shape[1], -1, self._head_dim)

    def _seen(self, k: Any, v: Any, spans: Sequence[Span]) -> list[Seen]:
        if len(spans) == 1:
            cache, n = spans[0]
            return [Seen(n, *cache.update(k, v), cache.window)]
        seen, start = [], 0
        for cache, n in spans:
            own = cache.update(k[:, :, start : start + n], v[:, :, start : start + n])
            seen.append(Seen(n, *own, cache.window))
            start += n
        return seen

    def _turn(self, keys: Any, by: int) -> Any:
        """Keys [1, kv heads, n, head dim], all rotated by as many positions."""
        rows = keys.reshape(1, 1, -1, self._head_dim)
        return self._rotary.rotate(rows, [(by, 1)]).reshape(keys.shape)


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(c.dim, c.hidden_dim, bias=False)
        self.up_proj = Linear(c.dim, c.hidden_dim, bias=False)
        self.down_proj = Linear(c.hidden_dim, c.dim, bias=c.use_biases)

    def __call__(self, x: Any) -> Any:
        """X [1, n, dim] -> [1, n, dim]."""
        gate, up = outputs([self.gate_proj, self.up_proj], x)
        return self.down_proj(gated(gate, up))

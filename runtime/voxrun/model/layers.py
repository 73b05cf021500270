"""Layers that the encoder's and the decoder's blocks share.

They work on rows of several streams at once: the products and norms are the rows', positions, cache and
attention are each stream's own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voxrun.checkpoint.config import TransformerConfig
from voxrun.device import mx, nn, own_kernels

from .attention import attend, attend_rings
from .cache import FlatCache, KVCache
from .cpu.attention import Seen
from .cpu.layers import outputs
from .functions import gated
from .linear import Linear, added, fuse
from .ring import Pass, RingCache
from .rotary import rotary


def new_cache(window: int) -> KVCache:
    """An empty cache: a ring for MLX's own attention, else one for that of `voxrun.model.cpu`."""
    return FlatCache(window) if own_kernels() else RingCache(window)


class Span(NamedTuple):
    """The next n rows are one stream's."""

    cache: Any
    """Of `new_cache`."""
    n: int


def spans_of(streams: Sequence[Sequence[KVCache]], counts: Sequence[int]) -> list[list[Span]]:
    """The spans of each layer: of the streams' caches, one a layer, and the rows of each stream."""
    return [list(map(Span, caches, counts)) for caches in zip(*streams, strict=True)]


class Attention(nn.Module):
    """Grouped-query attention with interleaved rotary positions (contract steps 5 and 8)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.q_proj = Linear(c.dim, c.n_heads * c.head_dim, bias=c.use_biases)
        self.k_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=False)
        self.v_proj = Linear(c.dim, c.n_kv_heads * c.head_dim, bias=c.use_biases)
        self.o_proj = Linear(c.n_heads * c.head_dim, c.dim, bias=c.use_biases)
        self._heads, self._kv_heads, self._head_dim = c.n_heads, c.n_kv_heads, c.head_dim
        self._rotary = rotary(c.rope_theta, c.head_dim)

    def begin(self, layers: Sequence[Sequence[Span]]) -> Pass | None:
        """What all layers of a stack share in a pass over these spans of each; None if nothing."""
        if not isinstance(layers[0][0].cache, RingCache):
            return None
        return Pass.begin(layers, self._kv_heads, self._head_dim, self._turn)

    def __call__(
        self, x: Any, spans: Sequence[Span], shared: Pass | None = None, residual: Any = None
    ) -> Any:
        """X [1, n, dim] -> [1, n, dim], plus `residual`; appends each stream's positions to its cache.

        `shared` is of `begin`, of this layer alone if it is not given.
        """
        shared = shared or self.begin([spans])
        out = self._in_numpy(x, spans) if shared is None else self._in_rings(x, spans, shared)
        return added(residual, self.o_proj, out.reshape(1, x.shape[1], -1))

    def fuse(self) -> None:
        """Compute queries, keys and values in one product, if their matrices are stored alike."""
        fuse(self, ("q_proj", "k_proj", "v_proj"), "qkv_proj")

    def _in_rings(self, x: Any, spans: Sequence[Span], shared: Pass) -> Any:
        """Attention by MLX, of queries and keys that are rotated together, before they are apart."""
        if "qkv_proj" in self:
            qkv = self.qkv_proj(x)
        else:
            qkv = mx.concatenate([self.q_proj(x), self.k_proj(x), self.v_proj(x)], axis=-1)
        n, total = x.shape[1], self._heads + 2 * self._kv_heads
        together = len(spans) == 1  # else each row is of a stream, at a position of its own
        rows = qkv if together else qkv.reshape(n, 1, -1)
        turned = self._rotary.turned(rows, shared.positions, still=self._kv_heads)
        if together and n > 1:
            heads = turned.reshape(1, n, total, self._head_dim).swapaxes(1, 2)
        else:
            heads = turned.reshape(n, total, 1, self._head_dim)
        q, kv = mx.split(heads, [self._heads], axis=1)
        caches = [cache for cache, _ in spans]
        return attend_rings(q, kv, caches, shared.places, self._head_dim**-0.5)

    def _in_numpy(self, x: Any, spans: Sequence[Span]) -> Any:
        """Attention by NumPy, also of MLX's arrays."""
        for cache, _ in spans:
            cache.turn_back(self._turn)
        positions = [(cache.angle, n) for cache, n in spans]
        q, k, v = map(self._split, outputs([self.q_proj, self.k_proj, self.v_proj], x))
        q = self._rotary.rotate(q, positions)
        k = self._rotary.rotate(k, positions).swapaxes(1, 2)
        v = v.swapaxes(1, 2)
        return attend(q, self._seen(k, v, spans), self._head_dim**-0.5)

    def _split(self, x: Any) -> Any:
        return x.reshape(1, x.shape[1], -1, self._head_dim)

    def _seen(self, k: Any, v: Any, spans: Sequence[Span]) -> list[Seen]:
        seen, start = [], 0
        for cache, n in spans:
            own = slice(start, start + n) if len(spans) > 1 else slice(None)
            keys, values = cache.update(k[:, :, own], v[:, :, own])
            seen.append(Seen(n, keys, values, cache.window))
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

    def __call__(self, x: Any, residual: Any = None) -> Any:
        """X [1, n, dim] -> [1, n, dim], plus `residual`."""
        if "gate_up_proj" in self:
            gate, up = mx.split(self.gate_up_proj(x), 2, axis=-1)
        else:
            gate, up = outputs([self.gate_proj, self.up_proj], x)
        return added(residual, self.down_proj, gated(gate, up))

    def fuse(self) -> None:
        """Compute gate and up in one product, if their matrices are stored alike."""
        fuse(self, ("gate_proj", "up_proj"), "gate_up_proj")

"""The contract's network in plain numpy, float64: all keys at once, a full mask, no cache, no chunks."""

import math
from collections.abc import Callable

import numpy as np
from small_models import Tensors

from voxrun.checkpoint.config import ModelConfig, TransformerConfig

Array = np.ndarray
Linear = Callable[[str, Array], Array]


def encode(config: ModelConfig, tensors: Tensors, mel: Array) -> Array:
    """Mel [n, bins], n even -> encoder frames [n/2, dim] after the last norm."""
    x = _conv(tensors, "encoder.conv1", np.pad(mel, ((2, 0), (0, 0))), stride=1)
    x = _conv(tensors, "encoder.conv2", np.pad(x, ((1, 0), (0, 0))), stride=2)
    for i in range(config.encoder.n_layers):
        x = _block(config.encoder, tensors, f"encoder.layers.{i}", x)
    return _norm(config.encoder, tensors["encoder.norm.weight"], x)


def decode(config: ModelConfig, tensors: Tensors, embedded: Array, n_delay: int) -> Array:
    """Embeddings [n, dim] -> hidden states [n, dim] after the last norm."""
    half = config.decoder.dim // 2
    angles = n_delay * np.exp(-math.log(1e4) * np.arange(half) / half)
    delay = np.concatenate([np.cos(angles), np.sin(angles)])
    x = embedded
    for i in range(config.decoder.n_layers):
        path = f"language_model.layers.{i}"
        down, up = (tensors[f"{path}.ada_norm.{n}.weight"] for n in ("linear_in", "linear_out"))
        x = _block(config.decoder, tensors, path, x, gain=1 + up @ gelu(down @ delay))
    return _norm(config.decoder, tensors["language_model.norm.weight"], x)


def seen(n: int, window: int) -> Array:
    """[n, n]: query q sees the keys q-window+1 .. q (contract step 5)."""
    return np.array([[q - window < k <= q for k in range(n)] for q in range(n)])


def _block(c: TransformerConfig, tensors: Tensors, path: str, x: Array, gain: Array | float = 1.0) -> Array:
    def linear(name: str, x: Array) -> Array:
        return x @ tensors[f"{path}.{name}.weight"].T + tensors.get(f"{path}.{name}.bias", 0.0)

    x = x + _attention(c, linear, _norm(c, tensors[f"{path}.attn_norm.weight"], x))
    h = _norm(c, tensors[f"{path}.ffn_norm.weight"], x) * gain
    gate = linear("mlp.gate_proj", h)
    return x + linear("mlp.down_proj", gate / (1 + np.exp(-gate)) * linear("mlp.up_proj", h))


def _attention(c: TransformerConfig, linear: Linear, x: Array) -> Array:
    n = len(x)
    q = _rotate(c, linear("attention.q_proj", x).reshape(n, c.n_heads, c.head_dim))
    k = _rotate(c, linear("attention.k_proj", x).reshape(n, c.n_kv_heads, c.head_dim))
    v = linear("attention.v_proj", x).reshape(n, c.n_kv_heads, c.head_dim)
    group = c.n_heads // c.n_kv_heads
    mask = seen(n, c.sliding_window)
    heads = []
    for head in range(c.n_heads):
        scores = q[:, head] @ k[:, head // group].T / math.sqrt(c.head_dim)
        weights = np.where(mask, np.exp(scores - scores.max()), 0.0)
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, head // group])
    return linear("attention.o_proj", np.concatenate(heads, axis=1))


def _rotate(c: TransformerConfig, x: Array) -> Array:
    """x [n, heads, head_dim]: neighbouring dimensions are a complex number that turns with the position."""
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    frequencies = c.rope_theta ** (-np.arange(0, c.head_dim, 2) / c.head_dim)
    turned = pairs * np.exp(1j * np.arange(len(x))[:, None, None] * frequencies)
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def _conv(tensors: Tensors, path: str, x: Array, stride: int) -> Array:
    weight, bias = tensors[f"{path}.weight"], tensors[f"{path}.bias"]  # [out, k, in]
    frames = [x[i : i + 3] for i in range(0, len(x) - 2, stride)]
    return gelu(np.einsum("nki,oki->no", np.array(frames), weight) + bias)


def _norm(c: TransformerConfig, weight: Array, x: Array) -> Array:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + c.norm_eps) * weight


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

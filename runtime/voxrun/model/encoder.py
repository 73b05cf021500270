"""The causal audio encoder and the adapter, fed frame by frame or all at once (contract steps 4 to 6)."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from voxrun.checkpoint.config import ModelConfig, TransformerConfig
from voxrun.device import mx, nn

from .functions import gelu, joined
from .layers import Attention, FeedForward, Span, new_cache, spans_of
from .linear import Linear
from .ring import Pass

KERNEL = 3


class EncoderState:
    """The encoder's state between chunks of a stream: the convolutions' tails, keys and values."""

    def __init__(self, config: ModelConfig, dtype: mx.Dtype) -> None:
        self.mel_tail: Any = mx.zeros((1, KERNEL - 1, config.audio.num_mel_bins), dtype)
        self.conv_tail: Any = mx.zeros((1, KERNEL - 2, config.encoder.dim), dtype)
        mx.eval(self.mel_tail, self.conv_tail)
        self.caches = [new_cache(config.encoder.sliding_window) for _ in range(config.encoder.n_layers)]

    def copy(self) -> "EncoderState":
        """The same state, to go on with independently."""
        twin = copy(self)  # the tails are replaced, never written to
        twin.caches = [cache.copy() for cache in self.caches]
        return twin


class EncoderBlock(nn.Module):
    """Pre-norm attention and SwiGLU."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(c.dim, eps=c.norm_eps)
        self.attention = Attention(c)
        self.ffn_norm = nn.RMSNorm(c.dim, eps=c.norm_eps)
        self.mlp = FeedForward(c)

    def __call__(self, x: Any, spans: Sequence[Span], shared: Pass | None = None) -> Any:
        """X [1, n, dim], the rows of all spans -> [1, n, dim]; `shared` as for `Attention`."""
        x = self.attention(self.attn_norm(x), spans, shared, x)
        return self.mlp(self.ffn_norm(x), x)


class Encoder(nn.Module):
    """Two causal convolutions, then blocks that see the last `sliding_window` frames."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config.encoder
        self.conv1 = nn.Conv1d(config.audio.num_mel_bins, c.dim, KERNEL)
        self.conv2 = nn.Conv1d(c.dim, c.dim, KERNEL, stride=2)
        self.layers = [EncoderBlock(c) for _ in range(c.n_layers)]
        self.norm = nn.RMSNorm(c.dim, eps=c.norm_eps)

    def __call__(self, mels: Sequence[Any], states: Sequence[EncoderState]) -> Any:
        """Each stream's mel [1, n, bins], n even and not 0 -> [1, sum of n/2, dim], continuing `states`."""
        stems = [self.stem(mel, state) for mel, state in zip(mels, states, strict=True)]
        x, counts = joined(stems), [stem.shape[1] for stem in stems]
        spans = spans_of([state.caches for state in states], counts)
        shared = self.layers[0].attention.begin(spans)
        for layer, own in zip(self.layers, spans, strict=True):
            x = layer(x, own, shared)
        return self.norm(x)

    def stem(self, mel: Any, state: EncoderState) -> Any:
        """The convolutions alone: mel [1, n, bins], n even and not 0 -> [1, n/2, dim], continuing `state`.

        The tail before the frames is the causal left padding: zeros at the start of the stream.
        """
        if isinstance(mel, np.ndarray):
            state.mel_tail, state.conv_tail = np.asarray(state.mel_tail), np.asarray(state.conv_tail)
        frames = joined([state.mel_tail, mel])
        state.mel_tail = _tail(frames, KERNEL - 1)
        x = gelu(self.conv1(frames))
        x = joined([state.conv_tail, x])
        state.conv_tail = _tail(x, KERNEL - 2)
        return gelu(self.conv2(x))


class Adapter(nn.Module):
    """Encoder frames, `downsample_factor` at a time, to the decoder's width."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.encoder.dim * config.downsample_factor
        self.w_in = Linear(width, config.decoder.dim, bias=False)
        self.w_out = Linear(config.decoder.dim, config.decoder.dim, bias=False)
        self._factor = config.downsample_factor

    def __call__(self, x: Any) -> Any:
        """X [1, n, encoder dim] -> [1, n / factor, decoder dim]."""
        x = x.reshape(1, x.shape[1] // self._factor, -1)
        return self.w_out(gelu(self.w_in(x)))


def _tail(frames: Any, n: int) -> Any:
    """The last n; of NumPy's a copy, which does not keep all of them alive."""
    tail = frames[:, -n:]
    return tail.copy() if isinstance(tail, np.ndarray) else tail

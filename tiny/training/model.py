"""The network, in upstream's arithmetic and under upstream's parameter names.

Causal Whisper-style encoder with rotary positions and a sliding window, an adapter that joins four
frames to one position, and a decoder whose feed-forward norms are conditioned on the delay. One
layer is for training only: the phone head.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tiny.training.config import PHONES, ModelConfig

BLOCK = 256  # queries that attend at a time where a sequence is longer than the window


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Norm over the last axis."""
        normed = F.rms_norm(x.float(), x.shape[-1:], self.weight.float(), self.eps)
        return normed.to(x.dtype)


@cache
def rotation(
    length: int, head_dim: int, theta: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each [length, head_dim / 2]."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.arange(length).float()[:, None] * frequencies
    return angles.cos().to(device), angles.sin().to(device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions over interleaved pairs, x [batch, heads, length, head_dim]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


@cache
def window_mask(
    queries: range, keys: range, window: int, device: torch.device | None = None
) -> Tensor:
    """[queries, keys], true where a query sees a key: itself and the window - 1 before it."""
    age = torch.arange(queries.start, queries.stop)[:, None] - torch.arange(keys.start, keys.stop)
    return ((age >= 0) & (age < window)).to(device)


def attend(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """Causal attention within a window, all [batch, heads, length, head_dim].

    A long sequence attends block by block, so that the cost grows with its length alone.
    """
    length = query.shape[2]
    if length <= window:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    blocks = []
    for start in range(0, length, BLOCK):
        queries = range(start, min(length, start + BLOCK))
        keys = range(max(0, start - window + 1), queries.stop)
        seen = slice(keys.start, keys.stop)
        mask = window_mask(queries, keys, window, query.device)
        heard = F.scaled_dot_product_attention(
            query[:, :, start : queries.stop], key[:, :, seen], value[:, :, seen], attn_mask=mask
        )
        blocks.append(heard)
    return torch.cat(blocks, 2)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions and a sliding window."""

    def __init__(
        self, dim: int, heads: int, kv_heads: int, head_dim: int, window: int, biases: bool
    ) -> None:
        super().__init__()
        self.head_dim, self.window = head_dim, window
        self.groups = heads // kv_heads
        self.wq = nn.Linear(dim, heads * head_dim, bias=biases)
        self.wk = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * head_dim, bias=biases)
        self.wo = nn.Linear(heads * head_dim, dim, bias=biases)

    def split(self, x: Tensor) -> Tensor:
        """[batch, length, heads * head_dim] to [batch, heads, length, head_dim]."""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attend over x [batch, length, dim]."""
        query = rotate(self.split(self.wq(x)), cos, sin)
        key = rotate(self.split(self.wk(x)), cos, sin).repeat_interleave(self.groups, 1)
        value = self.split(self.wv(x)).repeat_interleave(self.groups, 1)
        return self.wo(attend(query, key, value, self.window).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, dim: int, hidden_dim: int, biases: bool) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=biases)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., dim] to the same shape."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class EncoderLayer(nn.Module):
    """A pre-norm block of the encoder."""

    def __init__(self, c: ModelConfig, dropout: float) -> None:
        super().__init__()
        dim, heads = c.encoder_dim, c.encoder_heads
        self.attention_norm = RMSNorm(dim, c.norm_eps)
        self.attention = Attention(
            dim, heads, heads, c.encoder_head_dim, c.encoder_window, biases=True
        )
        self.ffn_norm = RMSNorm(dim, c.norm_eps)
        self.feed_forward = FeedForward(dim, c.encoder_hidden_dim, biases=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map x [batch, frames, dim] to the same shape."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        return x + self.dropout(self.feed_forward(self.ffn_norm(x)))


class CausalConv(nn.Module):
    """A convolution over time that sees no later frame, and its GELU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size=3, stride=stride)
        self.padding = 3 - stride

    def forward(self, x: Tensor) -> Tensor:
        """Map x [batch, inputs, n] to [batch, outputs, n / stride]."""
        return F.gelu(self.conv(F.pad(x, (self.padding, 0))))


class Transformer(nn.Module):
    """The encoder's blocks and its final norm."""

    def __init__(self, c: ModelConfig, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(c, dropout) for _ in range(c.encoder_layers))
        self.norm = RMSNorm(c.encoder_dim, c.norm_eps)
        self.head_dim, self.theta = c.encoder_head_dim, c.rope_theta

    def forward(self, x: Tensor) -> Tensor:
        """Map x [batch, frames, dim] to the same shape."""
        cos, sin = rotation(x.shape[1], self.head_dim, self.theta, x.device)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class Encoder(nn.Module):
    """Log-mel [batch, 128, 2 n] to frames of 20 ms, [batch, n, encoder_dim]."""

    def __init__(self, c: ModelConfig, dropout: float) -> None:
        super().__init__()
        first = CausalConv(c.mel_bins, c.encoder_dim, stride=1)
        second = CausalConv(c.encoder_dim, c.encoder_dim, stride=2)
        self.conv_layers = nn.ModuleList([first, second])
        self.transformer = Transformer(c, dropout)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode a log-mel."""
        for conv in self.conv_layers:
            mel = conv(mel)
        return self.transformer(mel.transpose(1, 2))


class DecoderLayer(nn.Module):
    """A pre-norm block of the decoder, conditioned on the delay in its feed-forward branch."""

    def __init__(self, c: ModelConfig, dropout: float) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(c.dim, c.norm_eps)
        self.attention = Attention(
            c.dim, c.n_heads, c.n_kv_heads, c.head_dim, c.sliding_window, biases=False
        )
        self.ffn_norm = RMSNorm(c.dim, c.norm_eps)
        self.feed_forward = FeedForward(c.dim, c.hidden_dim, biases=False)
        self.ada_rms_norm_t_cond = nn.Sequential(
            nn.Linear(c.dim, c.ada_rms_norm_t_cond_dim, bias=False),
            nn.GELU(),
            nn.Linear(c.ada_rms_norm_t_cond_dim, c.dim, bias=False),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, delay: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map x [batch, positions, dim] to the same shape; `delay` is embedded, [batch, 1, dim]."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin))
        conditioned = self.ffn_norm(x) * (1 + self.ada_rms_norm_t_cond(delay))
        return x + self.dropout(self.feed_forward(conditioned))


class TinyVoxtral(nn.Module):
    """The whole model; its parameters are named as upstream's, less a prefix (see `export`)."""

    def __init__(
        self,
        config: ModelConfig | None = None,
        dropout: float = 0.0,
        encoder_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.config = c = config or ModelConfig()
        self.whisper_encoder = Encoder(c, encoder_dropout)
        self.audio_language_projection = nn.Sequential(
            nn.Linear(c.encoder_dim * c.downsample_factor, c.dim, bias=False),
            nn.GELU(),
            nn.Linear(c.dim, c.dim, bias=False),
        )
        self.tok_embeddings = nn.Embedding(c.vocab_size, c.dim)
        self.layers = nn.ModuleList(DecoderLayer(c, dropout) for _ in range(c.n_layers))
        self.norm = RMSNorm(c.dim, c.norm_eps)
        self.phone_head = nn.Linear(c.encoder_dim, len(PHONES))
        self.apply(_initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("wo.weight", "w2.weight")):  # quieter residual branches
                parameter.data *= 0.4

    def encode(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel [b, 128, 8 n] to frames [b, 4 n, encoder_dim] and positions [b, n, dim]."""
        frames = self.whisper_encoder(mel)
        joined = frames.unflatten(1, (-1, self.config.downsample_factor)).flatten(2)
        return frames, self.audio_language_projection(joined)

    def decode(self, audio: Tensor, ids: Tensor, delays: Tensor) -> Tensor:
        """Logits of the next token, [b, n, vocab], at delays [b] in positions.

        `audio` [b, n, dim] and token ids [b, n] are what is heard and written at each position.
        """
        c = self.config
        x = audio + self.tok_embeddings(ids)
        delay = delay_embeddings(delays, c.dim)[:, None].to(x.dtype)
        cos, sin = rotation(x.shape[1], c.head_dim, c.rope_theta, x.device)
        for layer in self.layers:
            x = layer(x, delay, cos, sin)
        return F.linear(self.norm(x), self.tok_embeddings.weight)


def delay_embeddings(delays: Tensor, dim: int) -> Tensor:
    """Sinusoidal embeddings [b, dim] of delays [b] in positions."""
    half = dim // 2
    steps = torch.arange(half, device=delays.device) / half
    angles = delays[:, None] * torch.exp(-math.log(1e4) * steps)
    return torch.cat([angles.cos(), angles.sin()], -1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.03)

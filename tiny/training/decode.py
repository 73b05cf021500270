"""Greedy decoding of many clips at many delays at once, for evaluation.

All rows step together, one position at a time; the arithmetic and the text are the oracle's.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from torch import Tensor

from tiny.training.config import BEHIND, BOS, FIRST_TEXT, LEFT_PAD, PAD, SAMPLES_PER_POSITION
from tiny.training.labels import Written
from tiny.training.logmel import logmel
from tiny.training.model import DecoderLayer, TinyVoxtral, delay_embeddings, rotate, rotation

ROWS = 120  # decoded together, at most


def transcribe(
    model: TinyVoxtral, tekken: Tekkenizer, clips: list[np.ndarray], delays: tuple[int, ...]
) -> dict[int, list[str]]:
    """The text of every clip (float32 samples [n]) at every delay."""
    written = hear(model, clips, delays)
    return {delay: [text(tekken, row) for row in rows] for delay, rows in written.items()}


def text(tekken: Tekkenizer, written: Written) -> str:
    """What the tokens say."""
    return tekken.decode([token for _, token in written]).strip()


def hear(
    model: TinyVoxtral, clips: list[np.ndarray], delays: tuple[int, ...]
) -> dict[int, list[Written]]:
    """The text tokens of every clip (float32 samples [n]) at every delay."""
    sounds = [embed(model, clip, max(delays)) for clip in clips]
    jobs = [(delay, i) for delay in delays for i in range(len(clips))]
    jobs.sort(key=lambda job: length_of(clips[job[1]], job[0]))
    found: dict[tuple[int, int], Written] = {}
    for first in range(0, len(jobs), ROWS):
        part = jobs[first : first + ROWS]
        rows = [sounds[i][: length_of(clips[i], delay)] for delay, i in part]
        found |= zip(part, decode(model, rows, [delay for delay, _ in part]), strict=True)
    return {delay: [found[delay, i] for i in range(len(clips))] for delay in delays}


def length_of(samples: np.ndarray, delay: int) -> int:
    """The number of positions of a clip with its paddings at a delay."""
    return LEFT_PAD + -(-len(samples) // SAMPLES_PER_POSITION) + BEHIND + delay


@torch.no_grad()
def embed(model: TinyVoxtral, samples: np.ndarray, delay: int) -> Tensor:
    """float32 samples [n] to what the decoder hears at a delay, [positions, dim]."""
    before = LEFT_PAD * SAMPLES_PER_POSITION
    padded = np.zeros(length_of(samples, delay) * SAMPLES_PER_POSITION, np.float32)
    padded[before : before + len(samples)] = samples
    return model.encode(torch.from_numpy(logmel(padded))[None])[1][0]


@torch.no_grad()
def decode(model: TinyVoxtral, sounds: list[Tensor], delays: list[int]) -> list[Written]:
    """The text tokens of rows of any length: each `sounds` [positions, dim] at its delay."""
    c = model.config
    audio = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    rows, length = audio.shape[:2]
    embedded = delay_embeddings(torch.tensor(delays), c.dim)
    layers = [Step.of(layer, embedded, length) for layer in model.layers]
    cos, sin = rotation(length, c.head_dim, c.rope_theta)
    prompt = LEFT_PAD + torch.tensor(delays)
    ids = torch.full((rows,), BOS)
    written = []
    for position in range(length - 1):
        x = audio[:, position] + model.tok_embeddings(ids)
        for layer in layers:
            x = layer(x, position, cos[position], sin[position])
        guess = F.linear(model.norm(x), model.tok_embeddings.weight).argmax(-1)
        ids = torch.where(position < prompt, PAD, guess)
        written.append(ids)
    tokens = torch.stack(written, 1).tolist()  # row[p] is the token of position p + 1
    return [
        [(p + 1, token) for p, token in enumerate(row[: len(sound) - 1]) if token >= FIRST_TEXT]
        for row, sound in zip(tokens, sounds, strict=True)
    ]


@dataclass(frozen=True)
class Step:
    """A decoder layer that takes one position at a time.

    `keys` and `values` [rows, kv_heads, positions, head_dim] are its caches; `scale` [rows, dim] is
    1 plus the conditioning on each row's delay.
    """

    layer: DecoderLayer
    scale: Tensor
    keys: Tensor
    values: Tensor

    @staticmethod
    def of(layer: DecoderLayer, embedded: Tensor, length: int) -> "Step":
        """The layer with empty caches for `length` positions at embedded delays [rows, dim]."""
        attention = layer.attention
        heads = attention.wk.out_features // attention.head_dim
        caches = torch.zeros(2, len(embedded), heads, length, attention.head_dim)
        return Step(layer, 1 + layer.ada_rms_norm_t_cond(embedded), *caches)

    def __call__(self, x: Tensor, position: int, cos: Tensor, sin: Tensor) -> Tensor:
        """Map x [rows, dim] at a position to the same shape."""
        layer, attention = self.layer, self.layer.attention
        normed = layer.attention_norm(x)[:, None]  # a sequence of length 1
        query = rotate(attention.split(attention.wq(normed)), cos, sin)
        self.keys[:, :, position] = rotate(attention.split(attention.wk(normed)), cos, sin)[:, :, 0]
        self.values[:, :, position] = attention.split(attention.wv(normed))[:, :, 0]
        seen = slice(max(0, position - attention.window + 1), position + 1)
        heard = F.scaled_dot_product_attention(
            query.unflatten(1, (-1, attention.groups)).squeeze(3),
            self.keys[:, :, seen],
            self.values[:, :, seen],
        )
        x = x + attention.wo(heard.flatten(1))
        return x + layer.feed_forward(layer.ffn_norm(x) * self.scale)

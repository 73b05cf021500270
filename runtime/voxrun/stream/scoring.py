"""Teacher-forced logits: a model's scores of given tokens, to compare it with another."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx
from voxrun.model.functions import joined
from voxrun.model.voxtral import VoxtralRealtime

from .listener import Listener
from .schedule import Schedule
from .tokenizer import Tokenizer

BLOCK = 256


def embed_audio(model: VoxtralRealtime, schedule: Schedule, samples: FloatArray) -> Any:
    """Samples [n] -> embeddings [1, positions, dim] of the padded recording."""
    listener = Listener(model)
    right = schedule.right_samples(len(samples)) + listener.look_ahead
    padded = np.concatenate(
        [np.zeros(schedule.left_samples, np.float32), samples, np.zeros(right, np.float32)]
    )
    return joined(listener.feed(padded))


def teacher_forced_logits(
    model: VoxtralRealtime,
    tokenizer: Tokenizer,
    samples: FloatArray,
    tokens: Sequence[int],
    delay_ms: float | None = None,
) -> Iterator[mx.array]:
    """Logits [n, vocabulary] in blocks: row k is the model's prediction where tokens[k] is given.

    `tokens` is a session's: one for each position after the prompt.
    """
    schedule = Schedule.for_delay(model.config.audio, tokenizer, delay_ms)
    audio = embed_audio(model, schedule, samples)
    history = schedule.prompt(tokenizer) + list(tokens[:-1])
    gains, caches = model.gains(schedule.n_delay), model.decoder_caches()
    prompt = schedule.prompt_length - 1
    for start in range(0, len(history), BLOCK):
        block = history[start : start + BLOCK]
        hidden = model.decode(block, audio[:, start : start + len(block)], gains, caches)
        skipped = max(0, prompt - start)
        if skipped < len(block):
            yield mx.array(model.language_model.logits(hidden[:, skipped:])[0])

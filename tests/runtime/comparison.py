"""The stages of the network, and how far they may be from the oracle's (the contract's tolerances)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.mel import LogMel
from voxrun.stream.results import Transcript
from voxrun.stream.schedule import Schedule
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber

Stages = Mapping[str, np.ndarray]
TOLERANCES = {
    "mel": 1e-3,
    "stem": 4e-5,
    "encoder": 4e-5,
    "adapter": 5e-6,
    "gains": 5e-6,
    "logits": 2e-5,
    "steps": 2e-5,
    "whole": 1e-3,
}
"""In the order of the network; `steps` are the logits position by position, `whole` from samples to logits.
The contract has no tolerance for the convolutions, which get the encoder's, nor for the delay's gains,
which get the adapter's."""
ENCODER_BLOCK, DECODER_BLOCK = 512, 256
"""Mel frames and positions at a time: with the small windows some blocks are longer than what they see."""


def reference_of(stage: str) -> str:
    """The oracle's name of a stage: its logits are the same however ours are computed."""
    return "logits" if stage in ("steps", "whole") else stage


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, relative to the reference's largest value."""
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def errors(ours: Stages, reference: Stages) -> dict[str, float]:
    """The error of every stage."""
    return {stage: error(ours[stage], reference[reference_of(stage)]) for stage in TOLERANCES}


def beyond(found: Mapping[str, float]) -> set[str]:
    """The stages that are beyond their tolerances, NaN included."""
    return {stage for stage, value in found.items() if not value < TOLERANCES[stage]}


def stages(
    transcriber: Transcriber,
    samples: np.ndarray,
    tokens: Sequence[int],
    delay_ms: float | None = None,
    given: Stages | None = None,
) -> dict[str, np.ndarray]:
    """What TOLERANCES names, of a padded recording and the tokens after the prompt, each [rows, width].

    A stage goes on from what is `given` of the one before it; where nothing is, from our own.
    """
    model, tokenizer, given = transcriber.model, transcriber.tokenizer, given or {}
    schedule = Schedule.for_delay(model.config.audio, tokenizer, delay_ms)
    history = schedule.prompt(tokenizer) + list(tokens[:-1])
    mel = padded_mel(model, schedule, samples)
    frames = given.get("mel", mel)
    encoder = encoded(model, frames)
    adapter = np.array(model.adapter(mx.array(given.get("encoder", encoder))[None])[0])
    heard = mx.array(given.get("adapter", adapter))[None]
    blocks = range(DECODER_BLOCK, len(history), DECODER_BLOCK)
    steps = range(schedule.prompt_length, len(history))
    whole = teacher_forced_logits(model, tokenizer, samples, tokens, delay_ms)
    return {
        "mel": mel,
        "stem": np.array(model.encoder.stem(mx.array(frames)[None], model.encoder_state())[0]),
        "encoder": encoder,
        "adapter": adapter,
        "gains": np.concatenate([np.array(gain) for gain in model.gains(schedule.n_delay)]),
        "logits": decoded(model, schedule, heard, history, blocks),
        "steps": decoded(model, schedule, heard, history, steps),
        "whole": np.concatenate([np.array(block) for block in whole]),
    }


def padded_mel(model: VoxtralRealtime, schedule: Schedule, samples: np.ndarray) -> np.ndarray:
    """Samples [n] -> mel [frames, bins] of the recording between its two silences."""
    log_mel = LogMel(model.config.audio)
    right = schedule.right_samples(len(samples)) + log_mel.look_ahead
    return log_mel.feed(np.pad(samples, (schedule.left_samples, right)))


def encoded(model: VoxtralRealtime, mel: np.ndarray) -> np.ndarray:
    """Mel [frames, bins] -> encoder frames [frames/2, dim], block by block."""
    state = model.encoder_state()
    blocks = np.split(mel, range(ENCODER_BLOCK, len(mel), ENCODER_BLOCK))
    return np.concatenate([np.array(model.encoder([mx.array(block)[None]], [state])[0]) for block in blocks])


def decoded(
    model: VoxtralRealtime, schedule: Schedule, audio: mx.array, history: list[int], cuts: range
) -> np.ndarray:
    """Logits [n, vocabulary] after the prompt and after each further token; the caches go on at the cuts."""
    gains, caches, rows = model.gains(schedule.n_delay), model.decoder_caches(), []
    for start, end in pairwise([0, *cuts, len(history)]):
        hidden = model.decode(mx.array(history[start:end]), audio[:, start:end], gains, caches)
        rows.append(np.array(model.language_model.logits(hidden)[0]))
    return np.concatenate(rows)[schedule.prompt_length - 1 :]


def heard(session: Session, chunks: Iterable[np.ndarray]) -> Transcript:
    """All that a session says of these samples."""
    results = [*map(session.feed, chunks), session.finish()]
    return Transcript.of(results, session.seconds)

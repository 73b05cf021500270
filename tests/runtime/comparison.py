"""The stages of the network, and how far they may be from the oracle's (the contract's tolerances)."""

from collections.abc import Sequence

import numpy as np

from voxrun.device import mx
from voxrun.mel import LogMel
from voxrun.model import VoxtralRealtime
from voxrun.schedule import Schedule
from voxrun.scoring import embed_audio, teacher_forced_logits
from voxrun.tokenizer import Tokenizer

TOLERANCES = {"mel": 1e-3, "encoder": 4e-5, "adapter": 5e-6, "logits": 2e-5}


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, relative to the reference's largest value."""
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def stages(
    model: VoxtralRealtime, tokenizer: Tokenizer, samples: np.ndarray, tokens: Sequence[int]
) -> dict[str, np.ndarray]:
    """Mel, encoder, adapter and teacher-forced logits of a padded recording, each [rows, width].

    Mel and encoder come in one piece, adapter and logits in the blocks that a session would use.
    """
    audio = model.config.audio
    schedule = Schedule.for_delay(audio, tokenizer, None)
    log_mel = LogMel(audio)
    right = schedule.right_samples(len(samples)) + log_mel.look_ahead
    mel = log_mel.feed(np.pad(samples, (schedule.left_samples, right)))
    encoder = model.encoder(mx.array(mel)[None], model.encoder_state())
    adapter = embed_audio(model, schedule, samples)
    logits = mx.concatenate(list(teacher_forced_logits(model, tokenizer, samples, tokens)))
    return {
        "mel": mel,
        "encoder": np.array(encoder[0]),
        "adapter": np.array(adapter[0]),
        "logits": np.array(logits),
    }

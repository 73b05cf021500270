"""What a training step minimises: the losses of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tiny.training.batches import Batch
from tiny.training.config import FRAMES_PER_POSITION, LEFT_PAD, PAD, PHONE_DELAY, Phase
from tiny.training.history import own_text
from tiny.training.model import TinyVoxtral


def losses(
    model: TinyVoxtral, batch: Batch, phase: Phase, own_history: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the next token where it counts, and of the phone at every 20 ms."""
    with torch.autocast(batch.mel.device.type, dtype=torch.bfloat16, enabled=phase.bfloat16):
        frames, audio = model.encode(batch.mel.float())
        phones = model.phone_head(frames)
        logits = write(model, audio, batch, own_history)
    return text_loss(logits.float(), batch, phase), phone_loss(phones.float(), batch.phones)


def write(model: TinyVoxtral, audio: Tensor, batch: Batch, own_history: float) -> Tensor:
    """Logits [r, n, vocab]; a share of the history is the model's own guess."""
    audio, ids = audio.repeat_interleave(batch.rows_each, 0), batch.ids
    if own_history:
        with torch.no_grad():
            guesses = model.decode(audio, ids, batch.delays).argmax(-1)
        torch.clear_autocast_cache()  # it may hold weights cast without a gradient
        ids = own_text(ids, guesses, own_history)
    return model.decode(audio, ids, batch.delays)


def text_loss(logits: Tensor, batch: Batch, phase: Phase) -> Tensor:
    """The weighted mean cross-entropy over all positions that count."""
    pads = pad_weights(batch.delays, phase)[:, None]
    weight = torch.where(batch.labels == PAD, pads, 1.0) * batch.counted
    each = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="none")
    return (weight.flatten() * each).sum() / weight.sum()


def pad_weights(delays: Tensor, phase: Phase) -> Tensor:
    """The weight of [STREAMING_PAD] at delays [r]."""
    weights = torch.full(delays.shape, phase.pad_weight, device=delays.device)
    for delay, weight in phase.early_pad_weights:
        weights = torch.where(delays == delay, weight, weights)
    return weights


def phone_loss(heard: Tensor, phones: Tensor) -> Tensor:
    """Cross-entropy of logits [b, 4 n, phones], which lag behind the phones [b, 8 n].

    What lasts as long as the left padding is left out, for most sequences begin with it.
    """
    first = LEFT_PAD * FRAMES_PER_POSITION
    heard = heard[:, first + PHONE_DELAY :]
    known = phones[:, ::2][:, first:-PHONE_DELAY]
    return F.cross_entropy(heard.flatten(0, 1), known.flatten())

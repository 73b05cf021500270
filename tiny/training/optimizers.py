"""The optimisers of a phase and their learning rate."""

import math
from collections import defaultdict

from torch import Tensor
from torch.optim import AdamW, Optimizer

from tiny.training.config import Phase
from tiny.training.model import TinyVoxtral
from tiny.training.muon import Muon

NOT_HIDDEN = ("tok_embeddings", "phone_head")  # matrices that Muon is not meant for
ENCODER = "whisper_encoder"


def make_optimizers(model: TinyVoxtral, phase: Phase) -> list[Optimizer]:
    """AdamW, and Muon for the matrices of the hidden layers if the phase says so."""
    muon: dict[float, list[Tensor]] = defaultdict(list)  # by relative rate
    adamw: dict[tuple[float, float], list[Tensor]] = defaultdict(list)  # and weight decay
    for name, parameter in model.named_parameters():
        scale = phase.encoder_rate if name.startswith(ENCODER) else 1.0
        if phase.optimizer == "muon" and parameter.dim() == 2 and not name.startswith(NOT_HIDDEN):
            muon[scale].append(parameter)
        else:
            decay = phase.weight_decay if parameter.dim() >= 2 else 0.0
            adamw[scale, decay].append(parameter)
    groups = [
        {"params": members, "weight_decay": decay, "scale": scale}
        for (scale, decay), members in adamw.items()
    ]
    optimizers: list[Optimizer] = [AdamW(groups, betas=(0.9, 0.98), fused=True)]
    if muon:
        scaled = [{"params": members, "scale": scale} for scale, members in muon.items()]
        optimizers.append(Muon(scaled, phase.weight_decay))
    return optimizers


def rate(progress: float, step: int, warmup: int) -> float:
    """Share of the peak rate: a linear warm-up times a cosine that ends at 1 % at progress 1."""
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * cosine)


def set_rate(optimizers: list[Optimizer], value: float) -> None:
    """Set the learning rate of all parameters, relative to which some learn slower."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = value * group["scale"]

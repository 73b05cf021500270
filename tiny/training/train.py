"""Stages `train-a`, `train-b`, `train-c`: the phases of `config.PHASES`, one after the other.

A phase may run as several processes that average their gradients (gloo). Its last weights are the
result: nothing is selected, and no held-out clip is ever opened here.
"""

import math
import os
import random
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer
from tqdm import tqdm

from tiny.training.augment import Batch, make_batch, own_text
from tiny.training.config import (
    FRAMES_PER_POSITION,
    LEFT_PAD,
    PAD,
    PHASES,
    PHONE_DELAY,
    PROMPT,
    ModelConfig,
    Phase,
)
from tiny.training.dataset import inputs, load_dataset
from tiny.training.model import TinyVoxtral
from tiny.training.sequences import Composer
from tiny.training.workspace import Workspace, written_whole

SEED = 0
LARGEST_GRADIENT = 1.0


def weights_path(work: Workspace, phase: str) -> Path:
    """The trained weights of a phase."""
    return work.path(f"phase-{phase}.pt")


def run(work: Workspace, name: str) -> str:
    """Train one phase and write its weights."""
    phase = next(phase for phase in PHASES if phase.name == name)
    inputs(work, phase.alignment)  # what is missing is better said here than by a process
    if phase.start:
        work.needs(weights_path(work, phase.start), f"train-{phase.start}")
    steps, warmup = scaled(phase.steps, work.scale), scaled(phase.warmup, work.scale)
    if phase.processes == 1:
        worker(0, work, phase, steps, warmup)
    else:
        meeting = work.path(f"phase-{name}.meeting")
        meeting.unlink(missing_ok=True)
        mp.spawn(grouped_worker, (work, phase, steps, warmup, meeting), nprocs=phase.processes)
        meeting.unlink(missing_ok=True)
    return f"{steps} steps"


def scaled(steps: int, scale: float) -> int:
    """The number of steps of a run at `scale`."""
    return max(2, round(steps * scale))


def grouped_worker(
    rank: int, work: Workspace, phase: Phase, steps: int, warmup: int, meeting: Path
) -> None:
    """One process of several; they find each other through the file `meeting`."""
    dist.init_process_group(
        "gloo", init_method=meeting.as_uri(), rank=rank, world_size=phase.processes
    )
    worker(rank, work, phase, steps, warmup)
    dist.destroy_process_group()


def worker(rank: int, work: Workspace, phase: Phase, steps: int, warmup: int) -> None:
    """Train; every process draws its own batches, but of the same shapes, and steps alike."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // phase.processes))
    composer = Composer(load_dataset(work, phase.alignment), phase.right_pad, 1000 * SEED + rank)
    model = initial_model(work, phase)
    optimizers = make_optimizers(model, phase)
    shared = random.Random(SEED)  # draws alike in all processes
    torch.manual_seed(1000 * SEED + rank + 1)
    progress = tqdm(range(steps), desc=f"phase {phase.name}", unit="step", disable=rank > 0)
    for step in progress:
        done = step / steps
        set_rate(optimizers, phase.peak_rate * rate(step, done, warmup))
        shape = shared.choices(phase.shapes, [shape.share for shape in phase.shapes])[0]
        own_history = phase.own_history if shared.random() < 0.5 else 0.0
        batch = make_batch(composer, phase, shape)
        text_loss, phone_loss = losses(model, batch, phase.pad_weight, own_history)
        first, last = phase.phone_weight
        update(model, optimizers, text_loss + (first + (last - first) * done) * phone_loss)
        progress.set_postfix(refresh=False, text=f"{text_loss:.3f}", phone=f"{phone_loss:.3f}")
    if rank == 0:
        with written_whole(weights_path(work, phase.name)) as path:
            torch.save(model.state_dict(), path)


def initial_model(work: Workspace, phase: Phase) -> TinyVoxtral:
    """Random weights, the same in all processes, or those of the phase it starts from."""
    torch.manual_seed(SEED)
    model = TinyVoxtral(dropout=phase.dropout)
    if phase.start:
        model.load_state_dict(torch.load(weights_path(work, phase.start)))
    return model.train()


def update(model: TinyVoxtral, optimizers: list[Optimizer], loss: Tensor) -> None:
    """One step of all optimizers with the mean gradient over the processes."""
    loss.backward()
    average_gradients(model.parameters())
    nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def losses(
    model: TinyVoxtral, batch: Batch, pad_weight: float, own_history: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the next token behind the prompt, and of the phone at every 20 ms."""
    ids = batch.ids
    with torch.autocast("cpu", dtype=torch.bfloat16):
        frames, audio = model.encode(batch.mel)
        phones = model.phone_head(frames)
        if own_history:
            with torch.no_grad():
                guesses = model.decode(audio, ids).argmax(-1)
            ids = own_text(ids, guesses, own_history)
        logits = model.decode(audio, ids)
    weight = torch.ones(ModelConfig.vocab_size)
    weight[PAD] = pad_weight
    first = PROMPT - 1
    text_loss = F.cross_entropy(
        logits[:, first:].float().flatten(0, 1), batch.labels[:, first:].flatten(), weight
    )
    heard, known = phones[:, PHONE_DELAY:], batch.phones[:, ::2][:, :-PHONE_DELAY]
    first = LEFT_PAD * FRAMES_PER_POSITION
    phone_loss = F.cross_entropy(heard[:, first:].float().flatten(0, 1), known[:, first:].flatten())
    return text_loss, phone_loss


def rate(step: int, done: float, warmup: int) -> float:
    """Share of the peak rate: a linear warm-up times a cosine that ends at 1 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return min(1.0, (step + 1) / warmup) * (0.01 + 0.99 * cosine)


def set_rate(optimizers: list[Optimizer], value: float) -> None:
    """Set the learning rate of all parameters."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = value


def make_optimizers(model: TinyVoxtral, phase: Phase) -> list[Optimizer]:
    """AdamW, and Muon for the matrices (not the embedding or the phone head) if the phase says."""
    muon: list[Tensor] = []
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        hidden = not name.startswith(("tok_embeddings", "phone_head"))
        if phase.optimizer == "muon" and parameter.dim() == 2 and hidden:
            muon.append(parameter)
        else:
            (decayed if parameter.dim() >= 2 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": phase.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizers: list[Optimizer] = [AdamW(groups, betas=(0.9, 0.98), fused=True)]
    if muon:
        optimizers.append(
            Muon(muon, weight_decay=phase.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The mean gradient over all processes, in place."""
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(flat)
    nn.utils.vector_to_parameters(flat / dist.get_world_size(), gradients)

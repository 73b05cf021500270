"""Stages `train-a` to `train-g`: the phases of `config.PHASES`, one after the other.

A phase may run as several processes that average their gradients (gloo). It always ends after the
same number of steps: nothing is selected, and no held-out clip is ever opened here.
"""

import random
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from tiny.training.averaging import RunningAverage, mean
from tiny.training.batches import make_batch
from tiny.training.config import PHASES, Phase
from tiny.training.dataset import inputs, load_dataset
from tiny.training.model import TinyVoxtral
from tiny.training.objective import losses
from tiny.training.optimizers import make_optimizers, rate, set_rate
from tiny.training.sequences import Composer
from tiny.training.workspace import Workspace, written_whole

LARGEST_GRADIENT = 1.0


def weights_path(work: Workspace, phase: str) -> Path:
    """The trained weights of a phase."""
    return work.path(f"phase-{phase}.pt")


def run(work: Workspace, name: str) -> str:
    """Train one phase and write its weights."""
    phase = next(phase for phase in PHASES if phase.name == name)
    inputs(work, phase.alignment)  # what is missing is better said here than by a process
    for start in phase.start:
        work.needs(weights_path(work, start), f"train-{start}")
    if phase.processes == 1:
        worker(0, work, phase)
    else:
        meeting = work.path(f"phase-{name}.meeting")
        meeting.unlink(missing_ok=True)
        mp.spawn(grouped_worker, (work, phase, meeting), nprocs=phase.processes)
        meeting.unlink(missing_ok=True)
    return f"{scaled(phase.steps, work)} steps"


def scaled(steps: int, work: Workspace) -> int:
    """The number of steps at the scale of the run."""
    return max(2, round(steps * work.scale))


def grouped_worker(rank: int, work: Workspace, phase: Phase, meeting: Path) -> None:
    """One process of several; they find each other through the file `meeting`."""
    dist.init_process_group(
        "gloo", init_method=meeting.as_uri(), rank=rank, world_size=phase.processes
    )
    worker(rank, work, phase)


def worker(rank: int, work: Workspace, phase: Phase) -> None:
    """Train; every process draws its own batches, but of the same shapes, and steps alike."""
    torch.set_num_threads(max(1, torch.get_num_threads() // phase.processes))
    dataset = load_dataset(work, phase.alignment)
    composer = Composer(dataset, phase.sound, 1000 * phase.seed + rank)
    model = initial_model(work, phase)
    optimizers = make_optimizers(model, phase)
    average = RunningAverage(model, phase.average)
    shared = random.Random(phase.seed)  # draws alike in all processes
    torch.manual_seed(1000 * phase.seed + rank + 1)
    steps, warmup = scaled(phase.steps, work), scaled(phase.warmup, work)
    cosine = scaled(phase.cosine_steps or phase.steps, work)
    progress = tqdm(range(steps), desc=f"phase {phase.name}", unit="step", disable=rank > 0)
    for step in progress:
        set_rate(optimizers, phase.peak_rate * rate(step, cosine, warmup))
        shape = shared.choices(phase.shapes, [shape.share for shape in phase.shapes])[0]
        batch = make_batch(composer, phase, shape)
        own_history = phase.history.own if step % 2 else 0.0
        text_loss, phone_loss = losses(model, batch, phase, own_history)
        first, last = phase.phone_weight
        phone_weight = first + (last - first) * step / steps
        update(model, optimizers, text_loss + phone_weight * phone_loss)
        average.update(model)
        progress.set_postfix(refresh=False, text=f"{text_loss:.3f}", phone=f"{phone_loss:.3f}")
    if rank == 0:
        with written_whole(weights_path(work, phase.name)) as path:
            torch.save(average.state, path)


def initial_model(work: Workspace, phase: Phase) -> TinyVoxtral:
    """Random weights, the same in all processes, or the mean of the phases it starts from."""
    torch.manual_seed(phase.seed)
    model = TinyVoxtral(dropout=phase.dropout, encoder_dropout=phase.encoder_dropout)
    if phase.start:
        model.load_state_dict(mean([torch.load(weights_path(work, name)) for name in phase.start]))
    return model.train()


def update(model: TinyVoxtral, optimizers: list[Optimizer], loss: Tensor) -> None:
    """One step of all optimizers with the mean gradient over the processes."""
    loss.backward()
    average_gradients(model.parameters())
    nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The mean gradient over all processes, in place."""
    if not dist.is_initialized():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(flat)
    nn.utils.vector_to_parameters(flat / dist.get_world_size(), gradients)

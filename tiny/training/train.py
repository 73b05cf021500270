"""Stages `train-a` to `train-h`: the phases of `config.PHASES`, one after the other.

A phase may run as several processes that average their gradients (gloo), or on a GPU for which
other processes make the batches. It ends after its steps, or, where the time is given, when that is
over: nothing is selected, and no held-out clip is ever opened here.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.optim import Optimizer

from tiny.training.averaging import RunningAverage, State, mean
from tiny.training.config import PHASES, Phase
from tiny.training.dataset import Dataset, inputs, load_dataset
from tiny.training.feed import Steps, feed
from tiny.training.log import Log
from tiny.training.model import TinyVoxtral
from tiny.training.objective import losses
from tiny.training.optimizers import make_optimizers, rate, set_rate
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
    return f"weights in {weights_path(work, name)}"


@dataclass(frozen=True)
class Length:
    """How long a phase is: `steps`, or, if given, `seconds`, whatever the number of steps then is.

    A phase of so many seconds is repeated by the number of steps its log tells.
    """

    steps: int
    seconds: float | None = None

    def progress(self, step: int, elapsed: float) -> float:
        """The share that is done after so many steps and seconds."""
        return elapsed / self.seconds if self.seconds else step / self.steps


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
    seconds = work.seconds if phase.processes == 1 else None  # several must end at the same step
    length = Length(scaled(phase.steps, work), seconds)
    log = Log(phase.name, weights_path(work, phase.name), quiet=rank > 0)
    state = initial_state(work, phase)
    clips = load_dataset(work, phase.alignment)
    average = train(phase, clips, state, length, log, work.device, work.workers, rank)
    if rank == 0:
        with written_whole(weights_path(work, phase.name)) as path:
            torch.save(average, path)


def train(
    phase: Phase,
    clips: Dataset,
    state: State | None,
    length: Length,
    log: Log,
    device: str = "cpu",
    workers: int = 0,
    rank: int = 0,
) -> State:
    """Train from `state`, or from random weights; the running average of the weights."""
    batches = Steps(clips, phase, rank)
    fed = feed(batches, workers, pinned=device != "cpu")
    torch.manual_seed(phase.seed)
    model = TinyVoxtral(dropout=phase.dropout, encoder_dropout=phase.encoder_dropout)
    if state:
        model.load_state_dict(state)
    model.to(device).train()
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; a CPU computes as ever
    optimizers = make_optimizers(model, phase)
    average = RunningAverage(model, phase.average)
    torch.manual_seed(1000 * phase.seed + rank + 1)
    warmup = max(2, round(phase.warmup * length.steps / phase.steps))
    cosine = (phase.cosine_steps or phase.steps) / phase.steps  # how much of it the phase is
    begun, step, progress = time.monotonic(), 0, 0.0
    while progress < 1:
        set_rate(optimizers, phase.peak_rate * rate(progress / cosine, step, warmup))
        batch = next(fed).to(torch.device(device))
        own_history = phase.at(progress).history.own if step % 2 else 0.0
        text_loss, phone_loss = losses(model, batch, phase, own_history)
        first, last = phase.phone_weight
        phone_weight = first + (last - first) * progress
        update(model, optimizers, text_loss + phone_weight * phone_loss)
        average.update(model)
        step += 1
        progress = length.progress(step, time.monotonic() - begun)
        batches.progress.value = progress
        log.step(step, progress, batch, text_loss, phone_loss, model, average.state)
    return {name: tensor.cpu() for name, tensor in average.state.items()}


def initial_state(work: Workspace, phase: Phase) -> State | None:
    """The mean of the phases it starts from; None for random weights."""
    states = [torch.load(weights_path(work, name)) for name in phase.start]
    return mean(states) if states else None


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

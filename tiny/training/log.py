"""What a training run tells while it goes on: a line every few seconds, and its weights so far."""

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from tiny.training.averaging import State
from tiny.training.batches import Batch
from tiny.training.config import POSITION_SECONDS
from tiny.training.workspace import written_whole

LINE_SECONDS = 5.0
SNAPSHOT_SECONDS = 60.0


class Log:
    """Lines on stderr; every minute, the state of the run next to the file it will end as.

    The losses of a line are means over the steps since the line before; they are read from a GPU
    only here, for reading them waits for it.
    """

    def __init__(self, name: str, weights: Path, quiet: bool = False) -> None:
        self.name, self.quiet = name, quiet
        self.snapshot = weights.with_name(f"{weights.stem}-snapshot.pt")
        self.begun = self.line = self.saved = time.monotonic()
        self.losses: list[Tensor] = []
        self.heard = 0.0  # seconds of sound

    def step(
        self,
        step: int,
        progress: float,
        batch: Batch,
        text_loss: Tensor,
        phone_loss: Tensor,
        model: nn.Module,
        average: State,
    ) -> None:
        """Take note of a step."""
        if self.quiet:
            return
        self.losses.append(torch.stack([text_loss.detach(), phone_loss.detach()]))
        self.heard += len(batch.mel) * batch.labels.shape[1] * POSITION_SECONDS
        now = time.monotonic()
        if now - self.line >= LINE_SECONDS or progress >= 1:
            self.tell(step, progress, now)
        if now - self.saved >= SNAPSHOT_SECONDS or progress >= 1:
            self.save(step, model, average)

    def tell(self, step: int, progress: float, now: float) -> None:
        """One line."""
        text, phone = torch.stack(self.losses).mean(0).tolist()
        each = 1000 * (now - self.line) / len(self.losses)
        print(
            f"phase {self.name}: step {step}, {100 * progress:.1f} %, {now - self.begun:.0f} s, "
            f"{each:.1f} ms a step, {self.heard / 3600:.1f} h heard, text {text:.4f}, "
            f"phone {phone:.4f}",
            file=sys.stderr,
            flush=True,
        )
        self.losses, self.line = [], now

    def save(self, step: int, model: nn.Module, average: State) -> None:
        """The weights so far: the last ones and their average."""
        with written_whole(self.snapshot) as path:
            torch.save({"step": step, "last": model.state_dict(), "average": average}, path)
        self.saved = time.monotonic()

"""Stage `check`: do data, targets and a checkpoint agree?

Batches of the last phase are written by the checkpoint, without own history and dropout. Where they
agree, the text loss is small and nearly all text tokens are predicted, at every delay.
"""

from collections import defaultdict

import torch
from torch import Tensor
from tqdm import trange

from tiny.training.batches import Batch, make_batch
from tiny.training.config import FIRST_TEXT, PHASES, Shape
from tiny.training.dataset import load_dataset
from tiny.training.export import load_exported
from tiny.training.objective import text_loss, write
from tiny.training.sequences import Composer
from tiny.training.workspace import Workspace

BATCHES = 40
SHAPE = Shape(positions=176, sequences=4, share=1.0)
SEED = 1


def output(work: Workspace) -> None:
    """Always run when asked for."""
    return None


@torch.no_grad()
def run(work: Workspace) -> str:
    """The mean text loss and the share of text tokens predicted, in all and by delay."""
    phase = PHASES[-1].at(1.0)
    torch.manual_seed(SEED)
    model = load_exported(work.evaluated).eval()
    composer = Composer(load_dataset(work, phase.alignment), phase.sound, SEED)
    total = 0.0
    right: dict[int, list[Tensor]] = defaultdict(list)
    for _ in trange(BATCHES, desc="check", unit="batch"):
        batch = make_batch(composer, phase, SHAPE)
        logits = write(model, model.encode(batch.mel.float())[1], batch, own_history=0.0)
        total += float(text_loss(logits, batch, phase))
        for delay, hits in predicted(logits, batch):
            right[delay].append(hits)
    shares = {delay: torch.cat(hits).float().mean() for delay, hits in sorted(right.items())}
    mean = torch.cat([hit for hits in right.values() for hit in hits]).float().mean()
    each = ", ".join(f"{80 * delay} ms {100 * share:.1f}" for delay, share in shares.items())
    all_of_them = f"text loss {total / BATCHES:.3f}, {100 * mean:.1f} % of the text tokens"
    return f"{all_of_them} predicted; {each}"


def predicted(logits: Tensor, batch: Batch) -> list[tuple[int, Tensor]]:
    """For each row its delay, and which of its text tokens the model predicts."""
    right = logits.argmax(-1) == batch.labels
    text = (batch.labels >= FIRST_TEXT) & batch.counted
    return [(int(d), hits[at]) for d, hits, at in zip(batch.delays, right, text, strict=True)]

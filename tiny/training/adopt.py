"""Stage `adopt`: an exported checkpoint stands for the phases before `realign` and phase D.

The exported weights have no phone head, so one is fitted, on the first alignment.
"""

from pathlib import Path

import torch

from tiny.training import phone_head, tokenizer, train
from tiny.training.dataset import load_dataset
from tiny.training.errors import TrainingError
from tiny.training.export import load_exported
from tiny.training.workspace import Workspace, written_whole

STANDS_FOR = ("b", "c")  # what `realign` reads, and the last phase of the first edition


def output(work: Workspace) -> Path:
    """The weights of the last phase the checkpoint stands for."""
    return train.weights_path(work, STANDS_FOR[-1])


def run(work: Workspace) -> str:
    """Read the checkpoint of --start, fit its phone head, and write the weights of the phases."""
    if work.start is None:
        raise TrainingError("the stage 'adopt' needs --start, a folder with a checkpoint")
    if tokenizer.output(work).read_bytes() != (work.start / "tekken.json").read_bytes():
        raise TrainingError(f"{tokenizer.output(work)} is not the tekken.json of {work.start}")
    model = load_exported(work.start).eval()
    right = phone_head.fit(model, load_dataset(work, "dtw"))
    for phase in STANDS_FOR:
        with written_whole(train.weights_path(work, phase)) as path:
            torch.save(model.state_dict(), path)
    return f"{work.start}; its new phone head hears {100 * right:.0f} % of the frames right"

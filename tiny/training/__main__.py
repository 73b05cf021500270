"""Command line of the training line: `python -m tiny.training --help`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from tiny.training.errors import TrainingError
from tiny.training.workspace import TRAINING, Workspace, fingerprint


@dataclass(frozen=True)
class Stage:
    """A step of the line: `run` of the module `tiny.training.<module>`.

    It is skipped where the module's `output` (or the weights of its `phase`) exists. Modules are
    imported when their stage runs, so the early stages work without torch.
    """

    name: str
    module: str
    help: str
    phase: str | None = None
    by_default: bool = True

    def done(self, work: Workspace) -> bool:
        """Whether the stage's result is there."""
        module = import_module(f"tiny.training.{self.module}")
        path = module.weights_path(work, self.phase) if self.phase else module.output(work)
        return path is not None and path.exists()

    def run(self, work: Workspace) -> str | None:
        """Do the stage's work; returns a summary, if it has one."""
        run = import_module(f"tiny.training.{self.module}").run
        return (partial(run, name=self.phase) if self.phase else run)(work)


# Phases C to G made the first and the second edition; they run only when named.
STAGES = (
    Stage("recordings", "recordings", "fetch the Debian packages with the prompts"),
    Stage("transcripts", "transcripts", "normalise the packaged transcripts"),
    Stage("sentences", "sentences", "draw texts for the synthetic voices"),
    Stage("tokenizer", "tokenizer", "learn the byte-level BPE"),
    Stage("speak", "speech", "speak transcripts and sentences with flite (4 minutes)"),
    Stage("align", "align", "first word and phone times, by DTW"),
    Stage("features", "features", "log-mels of all training audio"),
    Stage("adopt", "adopt", "phases A to C from --start (only with it)", by_default=False),
    Stage("train-a", "train", "phase A, from random weights (36 minutes)", phase="a"),
    Stage("train-b", "train", "phase B (9 minutes)", phase="b"),
    Stage("realign", "realign", "second word and phone times, by the phone head"),
    Stage("train-c", "train", "phase C (33 minutes)", phase="c", by_default=False),
    Stage("train-d", "train", "phase D, all delays (27 minutes)", phase="d", by_default=False),
    Stage("train-e", "train", "phase E (13 minutes)", phase="e", by_default=False),
    Stage("train-f", "train", "phase F (7 minutes)", phase="f", by_default=False),
    Stage("train-g", "train", "phase G, from E and F (21 minutes)", phase="g", by_default=False),
    Stage("train-h", "train", "phase H, from random weights (9 minutes on a GPU)", phase="h"),
    Stage("export", "export", "write the checkpoint in upstream's layout"),
    Stage("evaluate", "evaluate", "word error rates and latencies by delay"),
    Stage("check", "check", "do the data and --model agree (only when named)", by_default=False),
    Stage("clips", "clips", "make tiny/clips again (only when named)", by_default=False),
    Stage("more-clips", "more_clips", "two more clip sets (only when named)", by_default=False),
)
ADOPTED = ("train-a", "train-b")  # what `adopt` does away with


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages asked for; 0, or 1 with one message on stderr."""
    options = parse(arguments)
    work = Workspace(
        options.data,
        options.scale,
        options.start,
        options.out,
        options.model,
        options.overwrite,
        options.device,
        options.workers,
        options.seconds,
    )
    asked = options.stages or default_stages(continued=options.start is not None)
    try:
        if work.start:
            fingerprint(work.start)  # refused now, not after the first stages
        if "export" in asked and work.out:
            work.needs_free_export()  # now, not after the training
        for stage in STAGES:
            if stage.name in asked:
                perform(stage, work)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {error}; the README lists the packages to install", file=sys.stderr)
        return 1
    return 0


def default_stages(continued: bool) -> list[str]:
    """The stages of a run from nothing, or of one that continues from a checkpoint."""
    names = [stage.name for stage in STAGES if stage.by_default]
    return ["adopt", *(name for name in names if name not in ADOPTED)] if continued else names


def perform(stage: Stage, work: Workspace) -> None:
    """Run the stage, or say that its result is there."""
    if stage.done(work):
        print(f"{stage.name}: already there")
        return
    print(f"{stage.name}: {stage.help}", flush=True)
    summary = stage.run(work)
    if summary:
        print(f"{stage.name}: {summary}", flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    width = max(len(stage.name) for stage in STAGES)
    listing = "\n".join(f"  {stage.name:{width}}  {stage.help}" for stage in STAGES)
    parser = argparse.ArgumentParser(
        prog="python -m tiny.training",
        description="Make the tiny model from Debian's recordings: every stage, or those named.",
        epilog=f"stages, in order (a stage whose result is there is skipped):\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", type=known, help="default: all")
    parser.add_argument("--data", type=Path, default=TRAINING / "data", help="working folder")
    parser.add_argument(
        "--scale",
        type=positive,
        default=1.0,
        help="share of the training steps and synthetic sentences; 0.01 is a smoke run",
    )
    parser.add_argument("--start", type=Path, help="exported checkpoint to continue from")
    parser.add_argument("--out", type=Path, help="folder for the exported checkpoint")
    parser.add_argument("--model", type=Path, help="checkpoint to evaluate (default: the export)")
    parser.add_argument("--overwrite", action="store_true", help="replace an exported checkpoint")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument(
        "--seconds", type=positive, help="length of each training phase, in place of its steps"
    )
    return parser.parse_args(arguments)


def known(name: str) -> str:
    """The name of a stage."""
    if name not in [stage.name for stage in STAGES]:
        raise argparse.ArgumentTypeError(f"there is no stage named {name!r}")
    return name


def positive(text: str) -> float:
    """A number greater than 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value


if __name__ == "__main__":
    sys.exit(main())

"""Write the parity report: how far voxrun is from transformers, stage by stage. `doit parity` runs it.

    python tests/oracle/parity.py docs/parity.md

The exit code is 1 if anything is beyond its limit: the report is written all the same.
"""

import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from bench import Bench, Measured
from cases import CASES, MODELS
from comparison import TOLERANCES, beyond

from voxbuild.console import markdown
from voxrun.device import mx, own_kernels

LIBRARIES = ("mlx", "numpy", "torch", "transformers")
MEANING = {
    "mel": "log-mel spectrogram",
    "stem": "the two convolutions",
    "encoder": "encoder frames after the last norm",
    "adapter": "audio embeddings",
    "gains": "delay conditioning, every layer",
    "logits": "teacher-forced, in blocks of 256 positions",
    "steps": "teacher-forced, position by position",
    "whole": "teacher-forced, from samples to logits",
}
HEAD = """\
# Parity with transformers

Written by `doit parity`: voxrun against transformers' `voxtral_realtime` in PyTorch, both in float32 on a
CPU. An error is the largest difference divided by the largest value of the oracle's. A stage is fed what the
oracle has before it, so its error is its own; `whole` goes from samples to logits. The history of the logits
is what the oracle says greedily; `tokens` compares that with a session's, and `margin` is the closest race
between its best two logits, relative to the largest: the smaller, the harder to get the same tokens.
"""
RANDOM = f"""\
`tiny` is the embedded model with committed recordings, the others are random models of awkward sizes
({", ".join(MODELS)}: the encoder's window), one of them in bfloat16 files, one with a decoder's
window of 45 (`tests/runtime/cases.py`).
"""


def main(path: Path) -> int:
    """Measure all cases and write the report."""
    mx.set_default_device(mx.cpu)  # a GPU would compute in the stored dtype
    with tempfile.TemporaryDirectory() as models:
        bench = Bench(Path(models))
        measured = [bench.measure(case) for case in tqdm(CASES, desc="parity", disable=None)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(report(measured)), encoding="utf-8")
    failed = [str(m.case) for m in measured if not m.passed]
    print(f"{path}: {len(measured)} cases, {len(failed)} beyond the limits", *failed, sep="\n")
    return 1 if failed else 0


def report(measured: list[Measured]) -> Iterator[str]:
    """The parts of the document."""
    yield HEAD
    yield f"{versions()}\n"
    yield "## Stages: the worst of all cases\n"
    yield f"{markdown(map(list, worst(measured)), ['stage', '', 'worst', 'limit', '', 'in'])}\n"
    yield "## Cases\n"
    yield RANDOM
    header = ["model", "recording", "delay ms", *TOLERANCES, "tokens", "margin", ""]
    yield f"{markdown(map(row, measured), header)}\n"


def versions() -> str:
    """What was compared, on what."""
    libraries = ", ".join(f"{name} {version(name).split('+')[0]}" for name in LIBRARIES)
    products = "our kernels" if own_kernels() else "MLX's own"
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{libraries}; {machine}, {products}."


def worst(measured: list[Measured]) -> Iterator[list[str]]:
    """A row for each stage, one for the tokens."""
    for stage, limit in TOLERANCES.items():
        most = max(measured, key=lambda m: m.errors[stage])
        value = most.errors[stage]
        yield [stage, MEANING[stage], f"{value:.1e}", f"{limit:.0e}", verdict(value < limit), str(most.case)]
    same, closest = sum(m.same_tokens for m in measured), min(measured, key=lambda m: m.margin)
    count, total = f"{same} of {len(measured)} equal", sum(m.tokens for m in measured)
    where = f"margin {closest.margin:.0e} in {closest.case}"
    yield ["tokens", f"greedy, {total} in all", count, "all", verdict(same == len(measured)), where]


def row(m: Measured) -> list[str]:
    """A case's figures; those beyond their limits are bold."""
    bad = beyond(m.errors)
    figures = [f"**{value:.0e}**" if stage in bad else f"{value:.0e}" for stage, value in m.errors.items()]
    tokens = f"{m.tokens} equal" if m.same_tokens else f"**{m.tokens} differ**"

    return [
        m.case.model,
        m.case.recording,
        str(m.case.delay_ms),
        *figures,
        tokens,
        f"{m.margin:.0e}",
        verdict(m.passed),
    ]


def verdict(passed: bool) -> str:
    """As a word."""
    return "pass" if passed else "FAIL"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

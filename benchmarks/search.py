"""What a search for scales and biases gains over plain rounding at equal size, and what it costs.

Over the embedded model: error of the weights, distance from the unquantized model's next-token distributions,
word errors. On one core: how fast rows are quantized.

    python benchmarks/search.py [--out FILE] [--bits 2 3 4 6] [--clips prompts digits chains]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild import stages
from voxbuild.artifact.manifest import VALIDATION
from voxbuild.artifact.variant import Variant
from voxbuild.calibrate.diagonal import mean_squares
from voxbuild.console import markdown
from voxbuild.errors import ValidationError
from voxbuild.files import read_json
from voxbuild.recipes.book import Book, read_book
from voxbuild.sources.clips import read_clips
from voxbuild.tensors import kernels
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import PLAIN, Quantization
from voxbuild.tensors.moments import Moments
from voxbuild.tensors.search import search_rows
from voxbuild.workspace import Workspace
from voxrun.device import mx
from voxrun.model.load import read_folder

ROOT = Path(__file__).resolve().parent.parent
SOURCE, CALIBRATION, GROUP = "tiny", "calibration", 64
SEARCHES = tuple(METHODS)
SHAPE = (1024, 3072)
"""Rows and columns of what the speed is measured on."""
SECONDS = 1.0
"""CPU time at least for a measurement of speed."""
UPSTREAM_GB = 8.86
RECIPE = """\
name: {name}
summary: For a benchmark.
source: tiny
quantize: {{mode: affine, bits: {bits}, group_size: {group}, search: {search}}}
{calibrate}
validate:
  clips: [{clips}]
  gates: {{}}
publish:
  repo: nobody/{{model}}-{{recipe}}
card: voxtral.md.j2
"""
HEADER = [
    *("bits", "search", "weight error %", "weighted error %", "KL mean", "KL p99"),
    *("top-1 %", "WER %", "GB/s", "upstream, s"),
]
TEXT = """\
# Searched scales and biases

Plain rounding takes a group's scale and bias from its range. `search: mse` takes those of least squared
error, `search: activation` weighs each column by its inputs over calibration clips that validate nothing.
Size and format are the same. Made by `python benchmarks/search.py`.

{table}

- Model: the embedded one, affine in groups of {group}; its unquantized weights have {wer:.2f} % WER.
- *weight error*: root of the squared error of all quantized matrices over that of the weights; *weighted
  error*: each column's square times E[x^2] of its inputs over the clips that validate (the search knew only
  the calibration clips').
- *KL*, in nats, and *top-1* are against the unquantized model, over {positions:,} positions of {clips} clips.
  KL ranks the variants; {words} words are too few for WER to (one is {word:.2f} points), and rounding one
  matrix another way, neither better nor worse, may move KL by a third.
- *GB/s*: of bfloat16 input on one core, CPU time ({shape} matrix of normal values); *upstream*: seconds of
  one core for its {upstream} GB at that speed. Plain rounding is our own compiled loop.
- What a column is worth (half by its moment, half like all; in the embedding all alike) was chosen by KL on
  half of the `prompts` clips, at 2, 3 and 4 bits in groups of 32 and 64, with the model's first edition.
"""


@dataclass(frozen=True)
class Trial:
    """A width and a search."""

    bits: int
    search: str

    @property
    def name(self) -> str:
        """Its recipe's."""
        return f"{self.bits}bit-{self.search}"


def make_project(folder: Path, variants: Sequence[Trial], clips: Sequence[str]) -> Workspace:
    """A project of these variants over the repository's own clips and models."""
    (folder / "recipes").mkdir(parents=True)
    for name in ("tiny", "model_cards", "recipes/sources", "recipes/clips"):
        (folder / name).symlink_to(ROOT / name)
    for variant in variants:
        facts = {"name": variant.name, "bits": variant.bits, "search": variant.search, "group": GROUP}
        calibrate = f"calibrate: {CALIBRATION}" if METHODS[variant.search].needs_moments else ""
        text = RECIPE.format(**facts, calibrate=calibrate, clips=", ".join(clips))
        (folder / "recipes" / f"{variant.name}.yaml").write_text(text)
    return Workspace(folder)


def built(work: Workspace, book: Book, variant: Trial) -> dict[str, Any]:
    """Build a variant; return what its validation says."""
    artifact = Variant(work, book, book.source(SOURCE), book.recipe(variant.name))
    stages.write_plan(artifact)
    stages.convert(artifact)
    with suppress(ValidationError):  # of the source's gates; the report is written before
        stages.validate(artifact)
    report: dict[str, Any] = read_json(work.artifact(SOURCE, variant.name) / VALIDATION)
    return report


def weight_errors(artifact: Path, origin: Path, moments: Moments) -> tuple[float, float]:
    """Relative root of the squared error over all quantized matrices, plain and weighted by moments."""
    config, ours = read_folder(artifact)
    _, theirs = read_folder(origin)
    sums = np.zeros((2, 2))
    for module in [name.removesuffix(".scales") for name in ours if name.endswith(".scales")]:
        parts = [ours[f"{module}.{leaf}"] for leaf in ("weight", "scales", "biases")]
        wide = [parts[0], *(part.astype(mx.float32) for part in parts[1:])]
        rounded = mx.dequantize(*wide, group_size=GROUP, bits=config.quantization["bits"])
        weight = np.array(theirs[f"{module}.weight"].astype(mx.float32), np.float64)
        for row, values in enumerate((np.array(rounded) - weight, weight)):
            sums[row] += (values**2).sum(), (values**2 * moments[module]).sum()
    plain, weighted = np.sqrt(sums[0] / sums[1])
    return float(plain), float(weighted)


def speed(quantize: Callable[[], Any], nbytes: int) -> float:
    """Bytes a second of CPU time, once compiled."""
    quantize()
    start, times = time.process_time(), 0
    while (spent := time.process_time() - start) < SECONDS:
        quantize()
        times += 1
    return nbytes * times / spent


def speed_of(variant: Trial) -> float:
    """Of a variant on bfloat16 rows."""
    values = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype(np.float32)
    rows = (values.view(np.uint32) >> 16).astype(np.uint16)
    if variant.search == PLAIN:
        weight = np.empty((SHAPE[0], SHAPE[1] * variant.bits // 32), np.uint32)
        scales, biases = (np.empty((SHAPE[0], SHAPE[1] // GROUP), np.float32) for _ in range(2))
        arguments = (rows, kernels.BFLOAT16, variant.bits, GROUP, weight, scales, biases)
        return speed(lambda: kernels.affine(*arguments), rows.nbytes)
    how = Quantization("affine", variant.bits, GROUP, variant.search)
    moments = np.ones(SHAPE[1], np.float32) if METHODS[variant.search].needs_moments else None
    return speed(lambda: search_rows(rows, "BF16", how, moments), rows.nbytes)


def row(variant: Trial, report: dict[str, Any], errors: tuple[float, float], rate: float) -> list[str]:
    """A line of the table, see HEADER."""
    near = report["fidelity"]
    return [
        *(str(variant.bits), variant.search),
        *(f"{100 * error:.2f}" for error in errors),
        *(f"{near['kl_mean']:.5f}", f"{near['kl_p99']:.4f}", f"{100 * near['top1_agreement']:.2f}"),
        *(f"{report['total']['wer']:.2f}", f"{rate / 1e9:.2f}", f"{UPSTREAM_GB * 1e9 / rate:.0f}"),
    ]


def measure(work: Workspace, variants: Sequence[Trial], clips: Sequence[str]) -> str:
    """The document."""
    book = read_book(work.recipes)
    source = book.source(SOURCE)
    stages.fetch(work, source)
    stages.calibrate(work, source, book.clips[CALIBRATION])
    for name in clips:
        stages.transcribe_reference(work, source, book.clips[name])
    heard = [clip for name in clips for clip in read_clips(book.clips[name], work.clips)]
    origin = ROOT / "tiny/checkpoint"
    moments = mean_squares(origin, [clip.path for clip in heard], lambda: None)
    rows = []
    for variant in variants:
        report = built(work, book, variant)
        errors = weight_errors(work.artifact(SOURCE, variant.name), origin, moments)
        rows.append(row(variant, report, errors, speed_of(variant)))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    words = sum(entry["words"] for entry in report["sets"].values())
    return TEXT.format(
        table=markdown(rows, HEADER),
        group=GROUP,
        wer=report["unquantized"]["wer"],
        positions=report["fidelity"]["positions"],
        clips=len(heard),
        words=words,
        word=100 / words,
        shape="x".join(map(str, SHAPE)),
        upstream=UPSTREAM_GB,
    )


def main() -> None:
    """Measure, and write the document."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/search.md")
    options.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4, 6])
    options.add_argument("--clips", nargs="+", default=["prompts", "digits", "chains"])
    said = options.parse_args()
    variants = [Trial(bits, search) for bits in said.bits for search in SEARCHES]
    with tempfile.TemporaryDirectory() as folder:
        text = measure(make_project(Path(folder) / "project", variants, said.clips), variants, said.clips)
    said.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""How often do 95 % intervals hold the true figure? Clips are simulated; their true figure is known.

    python benchmarks/coverage.py [--simulations N]

Prints a table for docs/benchmarks/coverage.md. A population of clips has its words (read sentences as in FLEURS, or
prompts as tiny's, some of two words and some of eighty) and its errors: a clip's own error rate is drawn from
a beta distribution, in which half of the clips have few errors and some have many. Of two variants most
transcripts are equal, and the others differ by one or a few words, to either side.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxbuild.console import markdown
from voxbuild.statistics.intervals import Estimate, difference, mean, rate, share

Numbers = np.typing.NDArray[np.float64]
Generator = np.random.Generator
CLIPS = 25, 48, 100, 400
SEED = 16
LARGE = 1_000_000
"""Clips that the true figure is taken of."""


def sentences(random: Generator, n: int) -> Numbers:
    """Words of read sentences."""
    return np.maximum(4, np.rint(random.lognormal(np.log(20), 0.4, n)))


def prompts(random: Generator, n: int) -> Numbers:
    """Words of telephone prompts."""
    return np.maximum(2, np.rint(random.lognormal(np.log(7), 0.8, n)))


def own_rates(random: Generator, n: int, of: float, alike: float = 6) -> Numbers:
    """The error rate of each clip, on average `of`."""
    return random.beta(of * alike, (1 - of) * alike, n)


@dataclass(frozen=True)
class Errors:
    """Clips with a rate of errors."""

    words: Callable[[Generator, int], Numbers]
    rate: float

    def clips(self, random: Generator, n: int) -> tuple[Numbers, Numbers]:
        words = self.words(random, n)
        return random.binomial(words.astype(int), own_rates(random, n, self.rate)).astype(float), words

    def interval(self, errors: Numbers, words: Numbers) -> Estimate:
        return rate(errors, words)


@dataclass(frozen=True)
class Difference:
    """Clips in which a share of the transcripts changed, more of them for the worse."""

    words: Callable[[Generator, int], Numbers]
    changed: float
    worse: float

    def clips(self, random: Generator, n: int) -> tuple[Numbers, Numbers]:
        words = self.words(random, n)
        changed, worse = random.random(n) < self.changed, random.random(n) < self.worse
        errors = np.minimum(1 + random.poisson(0.4, n), words)
        return np.where(worse, errors, -errors) * changed, words

    def interval(self, errors: Numbers, words: Numbers) -> Estimate:
        return difference(errors, np.zeros(len(errors)), words)


@dataclass(frozen=True)
class Texts:
    """Clips with the source's text, or another."""

    other: float

    def clips(self, random: Generator, n: int) -> tuple[Numbers, Numbers]:
        return random.binomial(1, self.other, n).astype(float), np.ones(n)

    def interval(self, errors: Numbers, words: Numbers) -> Estimate:
        return share(errors, words)


@dataclass(frozen=True)
class Divergence:
    """The KL of a clip's positions, about six for each word; clips differ by a lognormal factor."""

    words: Callable[[Generator, int], Numbers]
    spread: float

    def clips(self, random: Generator, n: int) -> tuple[Numbers, Numbers]:
        positions = 6 * self.words(random, n)
        return 0.004 * positions * random.lognormal(0, self.spread, n), positions

    def interval(self, sums: Numbers, positions: Numbers) -> Estimate:
        return mean(sums, positions)


POPULATIONS: dict[str, Any] = {
    **{f"WER {100 * of:g} %, sentences": Errors(sentences, of) for of in (0.02, 0.05, 0.15)},
    **{f"WER {100 * of:g} %, prompts": Errors(prompts, of) for of in (0.02, 0.08, 0.15)},
    "WER increase, 4 % of the texts changed, sentences": Difference(sentences, 0.04, 0.5),
    "WER increase, 15 %, mostly worse, sentences": Difference(sentences, 0.15, 0.65),
    "WER increase, 40 %, mostly worse, sentences": Difference(sentences, 0.4, 0.6),
    "WER increase, 15 %, prompts": Difference(prompts, 0.15, 0.5),
    "WER increase, 15 %, mostly worse, prompts": Difference(prompts, 0.15, 0.75),
    "WER increase, 40 %, prompts": Difference(prompts, 0.4, 0.5),
    "other texts, 5 %": Texts(0.05),
    "other texts, 30 %": Texts(0.3),
    "KL mean, sentences": Divergence(sentences, 0.6),
    "KL mean, prompts": Divergence(prompts, 0.9),
}


def coverage(population: Any, clips: int, simulations: int) -> tuple[float, float]:
    """The share of intervals that hold the true figure, and their mean width over the true figure's unit."""
    random = np.random.default_rng(SEED)
    above, below = population.clips(random, LARGE)
    true = above.sum() / below.sum()
    held, widths = [], []
    for _ in range(simulations):
        found = population.interval(*population.clips(random, clips))
        held.append(found.low <= true <= found.high)
        widths.append(found.high - found.low)
    return float(np.mean(held)), float(np.mean(widths))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="of each cell")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows = []
    for name, population in POPULATIONS.items():
        if options.only not in name:
            continue
        cells = [coverage(population, clips, options.simulations) for clips in CLIPS]
        rows.append([name, *(f"{100 * held:.1f} ({100 * width:.2g})" for held, width in cells)])
        print(rows[-1], file=sys.stderr)
    print(markdown(rows, ["population", *(f"{clips} clips" for clips in CLIPS)]))


if __name__ == "__main__":
    main()

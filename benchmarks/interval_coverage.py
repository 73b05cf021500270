"""How often do 95 % intervals hold the true figure? Clips are simulated, so their true figure is known.

    python benchmarks/interval_coverage.py [--simulations N]

Prints two tables for docs/benchmarks/coverage.md: of our intervals, and of other kinds. A population of
clips has its words (read sentences as in FLEURS, or prompts as tiny's, some of two words and some of eighty)
and its errors: a clip's own error rate is drawn from a beta distribution, in which many clips have hardly an
error and some have many. Of two variants most transcripts are equal, and the others differ by one or a few
words, to either side.
"""

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from voxbuild.console import markdown
from voxbuild.statistics.estimate import Estimate
from voxbuild.statistics.intervals import difference, mean, quantile, rate, share

Numbers = np.typing.NDArray[np.float64]
Generator = np.random.Generator
Words = Callable[[Generator, int], Numbers]
"""The words of n clips."""
CLIPS = 25, 48, 100, 400
SEED = 16
LARGE = 200_000
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
class Population:
    """Clips, and the figure that is estimated of them."""

    draw: Callable[[Generator, int], tuple[Any, ...]]
    """The numbers of n clips, such as the errors and the words of each."""
    interval: Callable[..., Estimate]
    true: Callable[..., float] = lambda above, below: float(above.sum() / below.sum())


def errors(words: Words, of: float) -> Population:
    """Clips with a WER."""

    def draw(random: Generator, n: int) -> tuple[Numbers, Numbers]:
        said = words(random, n)
        return random.binomial(said.astype(int), own_rates(random, n, of)).astype(float), said

    return Population(draw, rate)


def increase(words: Words, changed: float, worse: float) -> Population:
    """Clips of which a share of the transcripts changed; `worse` is the share of these that became worse."""

    def draw(random: Generator, n: int) -> tuple[Numbers, Numbers]:
        said = words(random, n)
        differs, sign = random.random(n) < changed, np.where(random.random(n) < worse, 1, -1)
        return sign * differs * np.minimum(1 + random.poisson(0.4, n), said), said

    return Population(draw, lambda more, said: difference(more, np.zeros(len(more)), said))


def other_texts(of: float) -> Population:
    """Clips of which a share has another text than the source's."""
    return Population(lambda random, n: (random.binomial(1, of, n).astype(float), np.ones(n)), share)


def divergence(words: Words, spread: float) -> Population:
    """The KL of clips, which differ by a lognormal factor; six positions for each word."""

    def draw(random: Generator, n: int) -> tuple[Numbers, Numbers]:
        positions = 6 * words(random, n)
        return 0.004 * positions * random.lognormal(0, spread, n), positions

    return Population(draw, mean)


def tail(words: Words, spread: float) -> Population:
    """The 99th percentile of the KL of all positions of the same clips."""

    def draw(random: Generator, n: int) -> tuple[list[Numbers]]:
        positions = (6 * words(random, n)).astype(int)
        kl = np.exp(np.repeat(random.normal(0, spread, n), positions) + random.normal(0, 2, positions.sum()))
        return (np.split(kl, np.cumsum(positions)[:-1]),)

    def true(kl: list[Numbers]) -> float:
        return float(np.quantile(np.concatenate(kl), 0.99))

    return Population(draw, lambda kl: quantile(kl, 0.99), true)


POPULATIONS = {
    **{f"WER {100 * of:g} %, sentences": errors(sentences, of) for of in (0.02, 0.05, 0.15)},
    **{f"WER {100 * of:g} %, prompts": errors(prompts, of) for of in (0.02, 0.08, 0.15)},
    "WER increase, 4 % of the texts changed, sentences": increase(sentences, 0.04, 0.5),
    "WER increase, 15 %, mostly worse, sentences": increase(sentences, 0.15, 0.65),
    "WER increase, 40 %, mostly worse, sentences": increase(sentences, 0.4, 0.6),
    "WER increase, 15 %, prompts": increase(prompts, 0.15, 0.5),
    "WER increase, 15 %, mostly worse, prompts": increase(prompts, 0.15, 0.75),
    "WER increase, 40 %, prompts": increase(prompts, 0.4, 0.5),
    "other texts, 5 %": other_texts(0.05),
    "other texts, 30 %": other_texts(0.3),
    "KL mean, sentences": divergence(sentences, 0.6),
    "KL mean, prompts": divergence(prompts, 0.7),
    "KL p99, sentences": tail(sentences, 0.6),
    "KL p99, prompts": tail(prompts, 0.7),
}

OTHERS = ("WER 2 %, sentences", "WER 8 %, prompts", "WER increase, 4 % of the texts changed, sentences")
"""Populations that other kinds of intervals are shown for."""


def coverage(population: Population, clips: int, simulations: int) -> tuple[float, float]:
    """The share of intervals that hold the true figure, and their mean width."""
    random = np.random.default_rng(SEED)
    true = population.true(*population.draw(random, LARGE))
    held, widths = [], []
    for _ in range(simulations):
        found = population.interval(*population.draw(random, clips))
        held.append(found.low <= true <= found.high)
        widths.append(found.high - found.low)
    return float(np.mean(held)), float(np.mean(widths))


@cache
def drawn(clips: int) -> Numbers:
    """How often each clip is in each of 2,000 draws."""
    return np.random.default_rng(SEED).multinomial(clips, np.full(clips, 1 / clips), 2000).astype(float)


def percentiles(above: Numbers, below: Numbers) -> Estimate:
    """Another kind of interval: the percentiles of the figure over draws of the clips."""
    draws = drawn(len(above))
    low, high = np.percentile((draws @ above) / (draws @ below), [2.5, 97.5])
    return Estimate(above.sum() / below.sum(), low, high)


def student(above: Numbers, below: Numbers) -> Estimate:
    """Another kind of interval: Student's t, with the standard error of a ratio."""
    value, n = above.sum() / below.sum(), len(above)
    error = np.sqrt(np.square(above - value * below).sum() * n / (n - 1)) / below.sum()
    t = {25: 2.064, 48: 2.012, 100: 1.984, 400: 1.966}[n]
    return Estimate(value, value - t * error, value + t * error)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000, help="of each cell")
    options = parser.parse_args()
    rows = []
    for name, population in POPULATIONS.items():
        cells = [coverage(population, clips, options.simulations) for clips in CLIPS]
        rows.append([name, *(f"{100 * held:.1f} ({100 * width:.2g})" for held, width in cells)])
    header = [f"{clips} clips" for clips in CLIPS]
    print(markdown(rows, ["population", *header]))
    rows = []
    for name, kind in itertools.product(OTHERS, (percentiles, student)):
        population = replace(POPULATIONS[name], interval=kind)
        held = [coverage(population, clips, options.simulations)[0] for clips in CLIPS]
        rows.append([name, kind.__name__, *(f"{100 * each:.1f}" for each in held)])
    print("\n" + markdown(rows, ["population", "another kind", *header]))


if __name__ == "__main__":
    main()

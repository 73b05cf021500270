"""From times by rows, and from tokens as speech has them, to the tuning that costs least.

Passes are replayed over the tokens by the rule of `voxrun.stream.generator`: behind a word's mark, where text
comes, one row; after other text the second number of rows; after a pass whose guesses were all right the next
number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from voxrun.stream.tuning import Tuning

from .results import Results, Spread

PAD, WORD, TEXT = "p", "w", "t"
MOST_STEPS = 4
"""Different numbers of rows in a look-ahead."""
NEAR = 0.1
"""Share of a time: closer figures count as equal, for other work on the machine moves them as much."""
SAFETY = 10
"""How many times the measured difference a margin is: other inputs differ more."""
WIDEST = 0.99
"""A margin, at most: hardly any token is sure then."""


@dataclass(frozen=True)
class Replay:
    """What a look-ahead would have computed for some tokens."""

    tokens: int
    passes: int
    rows: int
    cost: float
    """Seconds for each token."""

    @property
    def accepted(self) -> float:
        """The share of guessed rows that were right."""
        guesses = self.rows - self.passes
        return (self.tokens - self.passes) / guesses if guesses else 0.0


def replay(kinds: str, look_ahead: Sequence[int], seconds: Mapping[int, float]) -> Replay:
    """The passes over tokens of these kinds; `seconds`: of a pass, by its rows, which must all be there."""
    at = passes = rows = level = 0
    cost = 0.0
    while at < len(kinds):
        wanted = look_ahead[level]
        taken = kinds[at : at + wanted]
        kept = taken[: len(taken) - len(taken.lstrip(PAD)) + 1]  # the pads, and what ends their run
        at, passes, rows = at + len(kept), passes + 1, rows + wanted
        cost += seconds[wanted]
        level = _next(kept[-1], level, len(look_ahead))
    return Replay(at, passes, rows, cost / at if at else 0.0)


def _next(last: str, level: int, levels: int) -> int:
    if last == WORD:
        return 0
    return min(level + 1, levels - 1) if last == PAD else min(1, levels - 1)


def schedules(rows: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All look-aheads with these numbers of rows, the shortest first: each begins with 1, and grows."""
    more = sorted(set(rows) - {1})
    for n in range(MOST_STEPS):
        yield from ((1, *chosen) for chosen in combinations(more, n))


def best_look_ahead(kinds: str, seconds: Mapping[int, float], now: Sequence[int]) -> tuple[int, ...]:
    """The look-ahead that costs least, or `now` if that costs hardly more."""
    costs = {each: replay(kinds, each, seconds).cost for each in schedules(list(seconds))}
    best = min(costs, key=lambda each: costs[each])
    known = all(n in seconds for n in now)
    if known and replay(kinds, now, seconds).cost <= (1 + NEAR) * costs[best]:
        return tuple(now)
    return best


def cheapest_size(seconds: Mapping[int, float], now: int) -> int:
    """The smallest size of a pass whose rows cost hardly more than the cheapest; `now` if that is as cheap.

    `now` also stays if nothing was measured, or if it is larger than every size that was measured and the
    largest of those is among the cheapest.
    """
    if not seconds:
        return now
    each = {n: time / n for n, time in seconds.items()}
    least = min(each.values())
    good = [n for n in sorted(each) if each[n] <= (1 + NEAR) * least]
    open_end = now > max(each) and good[-1] == max(each)
    return now if now in good or open_end else good[0]


def proposed(results: Results, kinds: str, now: Tuning) -> Tuning:
    """The tuning of this device: `now`, but for what was measured to be better by more than NEAR."""
    steps, blocks = least(results.steps), least(results.blocks)
    look_ahead = best_look_ahead(kinds, steps, now.look_ahead)
    # As many positions as are guessed, or there is nothing to guess over; a live stream waits for no more.
    block = cheapest_size(_within(blocks, look_ahead[-1], now.block_positions), now.block_positions)
    better = replace(
        now,
        look_ahead=look_ahead,
        pass_rows=cheapest_size(_within(steps, look_ahead[-1]), now.pass_rows),
        block_positions=block,
        files_positions=cheapest_size(_within(blocks, block), now.files_positions),
        rounding=dict(now.rounding) | {results.weights.dtype: margin(results, now)},
    )
    return better if better == now else replace(better, source=f"voxrun bench on {results.machine.name}")


def _within(seconds: Mapping[int, float], fewest: int, most: int | None = None) -> dict[int, float]:
    return {n: time for n, time in seconds.items() if fewest <= n <= (most or n)}


def margin(results: Results, now: Tuning) -> float:
    """The share by which two logits must be apart: never less than now, which other inputs may need."""
    seen = max(results.difference.values(), default=0.0)
    return max(now.rounding[results.weights.dtype], min(WIDEST, float(f"{SAFETY * seen:.1g}")))


def least(times: Mapping[int, Spread]) -> dict[int, float]:
    """The least times alone: other work on the machine only adds to them."""
    return {n: spread.least for n, spread in times.items()}

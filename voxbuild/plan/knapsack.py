"""One option for each module, of least total cost within a limit of bytes: the exact optimum.

The multiple-choice knapsack problem, solved by going through the modules one after the other and keeping, of
all choices so far, those that no other choice beats in both bytes and cost. What bounds their number is
Lagrange's relaxation (Fisher 1981, The Lagrangian relaxation method for solving integer programming
problems): with a price for each byte the modules can be chosen one by one, which gives a lower bound of what
the rest will cost, and a choice whose bound is above a known solution's cost is dropped.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np

Array = np.typing.NDArray[Any]
SLACK = 1e-9
"""Of the known solution's cost: bounds are sums in another order, so they differ in the last digits."""


class Option(NamedTuple):
    """What a module may become."""

    nbytes: int
    cost: float


class TooSmallError(ValueError):
    """No choice is within the limit; `smallest` is the number of bytes of the smallest."""

    def __init__(self, smallest: int) -> None:
        super().__init__(f"the smallest choice has {smallest} bytes")
        self.smallest = smallest


def cheapest(choices: Sequence[Sequence[Option]], limit: int) -> list[int]:
    """The number of the option chosen for each module: the least sum of costs within `limit` bytes.

    Of equal sums the one of fewer bytes, then the first in the order of the options. Raises TooSmallError.
    """
    useful = [_useful(options) for options in choices]
    smallest = sum(options[kept[0]].nbytes for options, kept in zip(choices, useful, strict=True))
    if smallest > limit:
        raise TooSmallError(smallest)
    left = [[options[i] for i in kept] for options, kept in zip(choices, useful, strict=True)]
    chosen = _best(left, limit, *_relaxed(left, limit - smallest))
    return [kept[i] for kept, i in zip(useful, chosen, strict=True)]


def _useful(options: Sequence[Option]) -> list[int]:
    """The numbers of the options that no other beats: bytes ascend, costs descend."""
    kept: list[int] = []
    for i in sorted(range(len(options)), key=lambda i: (options[i], i)):
        if not kept or options[i].cost < options[kept[-1]].cost:
            kept.append(i)
    return kept


class _Step(NamedTuple):
    """From one corner of a module's lower convex hull to the next."""

    saving: float
    """Of cost for each byte more."""
    module: int
    corner: int
    """Number of the option that it goes to."""
    nbytes: int


def _relaxed(choices: Sequence[Sequence[Option]], room: int) -> tuple[float, float]:
    """The cost of a solution with `room` bytes beyond the smallest, and a price of a byte for the bounds."""
    chosen, price, stuck = [0] * len(choices), 0.0, set[int]()
    for step in sorted(chain.from_iterable(map(_hull, range(len(choices)), choices)), key=_rank):
        if step.module in stuck:
            continue
        if step.nbytes > room:  # what fits later goes on, for a better solution
            price = price or step.saving
            stuck.add(step.module)
            continue
        chosen[step.module], room = step.corner, room - step.nbytes
    return sum(options[i].cost for options, i in zip(choices, chosen, strict=True)), price


def _rank(step: _Step) -> tuple[float, int, int]:
    return -step.saving, step.module, step.corner


def _hull(module: int, options: Sequence[Option]) -> list[_Step]:
    """The steps of one module, their savings descending."""
    steps, at = [], 0
    while at + 1 < len(options):
        here = options[at]
        savings = [(here.cost - o.cost) / (o.nbytes - here.nbytes) for o in options[at + 1 :]]
        to = at + 1 + savings.index(max(savings))
        steps.append(_Step(max(savings), module, to, options[to].nbytes - here.nbytes))
        at = to
    return steps


def _best(choices: Sequence[Sequence[Option]], limit: int, known: float, price: float) -> list[int]:
    """The optimum, by going through the modules; `known` is the cost of some solution."""
    least = [min(o.cost + price * o.nbytes for o in options) for options in choices]
    bounds = list(accumulate(reversed(least), initial=0.0))[-2::-1]
    smallest = list(accumulate((options[0].nbytes for options in reversed(choices)), initial=0))[-2::-1]
    nbytes, costs = np.zeros(1, np.int64), np.zeros(1)
    ways: list[tuple[Array, Array]] = []
    highest = known + SLACK * abs(known)
    for options, bound, rest in zip(choices, bounds, smallest, strict=True):
        more = np.array([o.nbytes for o in options], np.int64)
        cost = np.array([o.cost for o in options])
        nbytes, costs = (nbytes[:, None] + more).ravel(), (costs[:, None] + cost).ravel()
        possible = (nbytes + rest <= limit) & (costs + bound - price * (limit - nbytes) <= highest)
        found = np.flatnonzero(possible)
        kept = found[_unbeaten(nbytes[found], costs[found])]
        ways.append((kept // len(options), kept % len(options)))
        nbytes, costs = nbytes[kept], costs[kept]
    at, chosen = len(costs) - 1, []  # costs descend
    for origins, taken in reversed(ways):
        chosen.append(int(taken[at]))
        at = int(origins[at])
    return chosen[::-1]


def _unbeaten(nbytes: Array, costs: Array) -> Array:
    """The numbers of the choices of which no other has fewer bytes and no more cost; bytes ascend."""
    order = np.lexsort((costs, nbytes))
    ranked = costs[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(ranked)[:-1]])
    kept: Array = order[ranked < before]
    return kept

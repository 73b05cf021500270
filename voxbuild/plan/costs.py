"""What each setting of each matrix costs, of what was measured: some widths of each matrix alone.

A measured divergence is off by a third either way. So what all matrices have in common is used: how the
divergence falls from width to width is the median over all of them, and each one deviates from that by its
level and by half of its own slope.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from voxbuild.errors import PlanError
from voxbuild.files import read_json
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import DTYPES, Recipe
from voxbuild.tensors.modes import MODES, Quantization

FORMAT = 1
WIDTHS = (2, 3, 4)
"""Bits with which every matrix is measured."""
ONE_WIDTH = (3,)
"""The same for a large model: a third of the time, and a divergence that is 3 to 10 % higher in the end."""
LARGE = 2**28
"""Parameters from which a model is large."""
FALL = math.log2(4.4)
"""How far the logarithm of the divergence falls with a bit, where that was not measured."""
GROWTH = 0.3
"""The divergence grows with this power of the group size: 1.2 times as much from 64 to 128."""
LEAST_FALL = 1.0
"""The same at least, whatever was measured, so that more bits never cost more."""
OWN_SLOPE = 0.5
"""The share of a matrix's own slope that is believed."""
LEAST = 1e-12
"""A divergence below this is noise."""
Measured = Mapping[str, Mapping[str, float]]
"""Module -> bits/group size -> mean divergence in nats."""
Costs = dict[str, dict[Quantization, float]]
"""Module -> setting -> what it costs to quantize it so; to leave it as it is costs nothing."""


class NotMeasuredError(PlanError):
    """What the matrices cost is not measured yet."""


def widths_for(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The bits with which matrices of these shapes are measured."""
    return ONE_WIDTH if sum(map(math.prod, shapes.values())) >= LARGE else WIDTHS


def to_measure(quantize: Quantize, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[Quantization]]:
    """Module -> the settings to measure; the same for all budgets, rules and candidates."""
    mode, widths = MODES[quantize.mode], widths_for(shapes)
    sizes = (quantize.group_size, *reversed(mode.group_sizes))
    found = {}
    for module, shape in shapes.items():
        if fitting := [size for size in sizes if shape[1] % size == 0]:
            found[module] = [
                Quantization(quantize.mode, bits, fitting[0], quantize.search) for bits in widths
            ]
    return found


def measurement_of(recipe: Recipe) -> str:
    """The name of the measurement that a recipe needs; recipes with other budgets share it."""
    how = recipe.quantize
    assert how is not None
    settings = f"{how.mode}-{how.search}-{how.group_size}"
    return f"{recipe.calibrate}.{settings}-{DTYPES[recipe.dtype].lower()}"


def key_of(how: Quantization) -> str:
    """The name of a setting in the file."""
    return f"{how.bits}/{how.group_size}"


def read_measured(path: Path) -> Measured:
    """The file of a measurement. Raises PlanError if it is missing, FormatError if it is damaged."""
    if not path.is_file():
        raise NotMeasuredError(f"{path}: what each matrix costs is not measured yet; run `doit measure`")
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise PlanError(f"{path}: made by another version of voxbuild; delete it, and measure again")
        return {m: {key: float(kl) for key, kl in each.items()} for m, each in content["modules"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanError(f"{path}: damaged; delete it, and measure again") from error


def costs_of(measured: Measured, settings: Mapping[str, Sequence[Quantization | None]]) -> Costs:
    """The cost of each setting of the modules that were measured."""
    levels = {module: _levels(each) for module, each in measured.items()}
    curve = _curve([each for each in levels.values() if each])
    return {
        module: {how: _cost(levels[module], curve, how) for how in each if how}
        for module, each in settings.items()
        if levels.get(module)
    }


def _levels(measured: Mapping[str, float]) -> dict[int, float]:
    """Bits -> log2 of the divergence, as it would be in groups of one weight."""
    found = {}
    for key, divergence in measured.items():
        bits, size = map(int, key.split("/"))
        found[bits] = math.log2(max(divergence, LEAST)) - GROWTH * math.log2(size)
    return found


def _curve(levels: Sequence[Mapping[int, float]]) -> Callable[[int], float]:
    """Bits -> log2 of the divergence, for a matrix like most of them, as a difference."""
    widths = sorted(set.intersection(*(set(each) for each in levels))) if levels else []
    if not widths:
        return lambda bits: -FALL * bits
    middle = widths[len(widths) // 2]
    medians = {b: statistics.median(each[b] - each[middle] for each in levels) for b in widths}
    for narrow, wide in pairwise(widths):
        medians[wide] = min(medians[wide], medians[narrow] - LEAST_FALL * (wide - narrow))

    def curve(bits: int) -> float:
        nearest = min(widths, key=lambda width: abs(width - bits))
        return medians[nearest] - FALL * (bits - nearest)

    return curve


def _cost(levels: Mapping[int, float], curve: Callable[[int], float], how: Quantization) -> float:
    own = {bits: level - curve(bits) for bits, level in levels.items()}
    mean, center = statistics.mean(own.values()), statistics.mean(own)
    spread = sum((bits - center) ** 2 for bits in own)
    slope = sum((bits - center) * level for bits, level in own.items()) / spread if spread else 0.0
    slope = OWN_SLOPE * max(-LEAST_FALL, min(LEAST_FALL, slope))
    bits = max(min(own), min(how.bits, max(own) + 1))  # it is not continued far beyond what was measured
    log = mean + slope * (bits - center) + curve(how.bits) + GROWTH * math.log2(how.group_size)
    return float(2**log)

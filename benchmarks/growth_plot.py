"""Figures against a size, both logarithmic, one panel above the other, as an SVG."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

WIDTH, HEIGHT = 640, 150
"""Of one panel's inside, in pixels."""
Point = tuple[float, float]


def plot(panels: Mapping[str, Sequence[Point]], across: str) -> str:
    """A panel for each title: its points, joined by a line."""
    sizes = [x for points in panels.values() for x, _ in points]
    horizontal = Scale(min(sizes), max(sizes), WIDTH)
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("growth_plot.svg.j2")
    return template.render(
        panels=[_panel(title, points, horizontal) for title, points in panels.items()],
        marks=horizontal.marks(),
        width=WIDTH,
        height=HEIGHT,
        across=across,
    )


class Scale:
    """A logarithmic axis from one mark to another."""

    def __init__(self, least: float, most: float, length: float) -> None:
        self._marks = round_numbers(least, most)
        self._low, self._high, self._length = self._marks[0], self._marks[-1], length

    def at(self, value: float) -> float:
        """Pixels from the begin of the axis."""
        return self._length * math.log(value / self._low) / math.log(self._high / self._low)

    def marks(self) -> list[tuple[float, str]]:
        """Places of round numbers, and how they are written."""
        return [(self.at(mark), f"{mark:,.12g}") for mark in self._marks]


def round_numbers(least: float, most: float) -> list[float]:
    """Powers of ten around two values, and what is between them if those are few."""
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    marks = [step * 10.0**power for power in range(low, max(high, low + 1) + 1) for step in steps]
    first = max(i for i, mark in enumerate(marks) if mark <= least * (1 + 1e-9))
    last = min(i for i, mark in enumerate(marks) if mark >= most * (1 - 1e-9))
    return marks[first : max(last, first + 1) + 1]


def _panel(title: str, points: Sequence[Point], horizontal: Scale) -> dict[str, Any]:
    values = [y for _, y in points]
    vertical = Scale(min(values), max(values), HEIGHT)
    places = [(horizontal.at(x), HEIGHT - vertical.at(y)) for x, y in points]
    return {
        "title": title,
        "dots": places,
        "line": " ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        "marks": [(HEIGHT - at, label) for at, label in vertical.marks()],
    }

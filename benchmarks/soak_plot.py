"""Curves over hours of audio, one above the other, as an SVG that a repository can show."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

WIDTH, HEIGHT = 640, 150
"""Of one panel's inside, in pixels."""
PANELS = {
    "resident": "resident memory, MB",
    "rtf": "real-time factor",
    "wer": "WER, %",
    "queued": "blocks waiting at most",
}
TICKS = 4
"""As many steps as that, about, on an axis."""


def plot(
    rows: Sequence[Any], titles: Mapping[str, str] = PANELS, across_title: str = "hours of audio"
) -> str:
    """A panel for each figure of `titles` that the rows have; the vertical axes begin at 0."""
    hours = [row.audio / 3600 for row in rows]
    across = ticks(hours[-1])
    panels = []
    for name, title in titles.items():
        values = [getattr(row, name, 0.0) for row in rows]
        if any(values):
            panels.append(_panel(title, hours, values, across[-1]))
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("soak_plot.svg.j2")
    marks = [(WIDTH * x / across[-1], f"{x:g}") for x in across]
    return template.render(panels=panels, marks=marks, width=WIDTH, height=HEIGHT, across=across_title)


def _panel(title: str, hours: Sequence[float], values: Sequence[float], end: float) -> dict[str, Any]:
    up = ticks(max(values))
    points = zip(hours, values, strict=True)
    line = " ".join(f"{WIDTH * x / end:.1f},{HEIGHT * (1 - y / up[-1]):.1f}" for x, y in points)
    return {"title": title, "line": line, "marks": [(HEIGHT * (1 - y / up[-1]), f"{y:g}") for y in up]}


def ticks(highest: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `highest`."""
    rough = max(highest, 1e-9) / TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= rough)
    return [round(i * step, 9) for i in range(math.ceil(highest / step - 1e-9) + 1)]

"""Time and memory against what grows: audio, files, sessions, shards, vocabulary, model.

    python benchmarks/growth.py --only audio files sessions shards vocabulary
    python benchmarks/growth.py --only model --full SOURCE    # of make_checkpoint.py; 5 GB of disk
    python benchmarks/growth.py --only                        # writes the document again, measures nothing

Results are kept in `--work`, point by point, so that pieces measured one after the other add up to one
document: docs/benchmarks/growth.md, with a plot for each axis beside it. Each run is a fresh process.
"""

import argparse
import json
import math
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from environments import machine
from figures import spread
from growth_axes import AXES, Axis
from growth_place import Place
from growth_plot import Point, plot
from runs import ROOT, tell

from voxrun.bench.tables import markdown, number

FLAT, LINEAR = 0.15, (0.85, 1.15)
"""Slopes that count as such."""
SCALES = {"s": 1.0, "ms": 1e3, "MB": 1e-6}
Rows = dict[str, dict[str, Any]]
"""Point -> its runs, and the commit that was measured."""


class Results:
    """What was measured until now, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._axes: dict[str, Rows] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def rows(self, axis: Axis) -> Rows:
        """Those of an axis, in the order of its points."""
        rows = self._axes.get(axis.name, {})
        return {f"{point:g}": rows[f"{point:g}"] for point in axis.points if f"{point:g}" in rows}

    def add(self, axis: Axis, point: float, runs: list[dict[str, Any]]) -> None:
        """Take a point's runs in place of older ones."""
        self._axes.setdefault(axis.name, {})[f"{point:g}"] = {"runs": runs, "commit": commit()}
        self._path.write_text(json.dumps(self._axes, indent=1), encoding="utf-8")


def commit() -> str:
    """The checked-out commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def measure(axis: Axis, points: Sequence[float], place: Place, repeat: int, results: Results) -> None:
    """Rounds over the points; what failed is told and has no row."""
    runs: dict[float, list[dict[str, Any]]] = {point: [] for point in points}
    for round_ in range(repeat):
        for point in points:
            if round_ and point >= axis.once_from:
                continue
            run = axis.run(place, point)
            keys = {"size", *axis.figures}
            shown = [f"{key} {number(run.figures[key])}" for key in axis.figures if key in run.figures]
            tell(f"{axis.name} {point:g} [{round_ + 1}/{repeat}] {', '.join(shown)} {run.error}")
            if not run.error:
                runs[point].append({key: run.figures[key] for key in keys & run.figures.keys()})
                results.add(axis, point, runs[point])


def points_of(rows: Rows, key: str) -> list[Point]:
    """Sizes, and the medians of a figure."""
    return [
        (_median(row, "size") or float(name), _median(row, key) or 0.0)
        for name, row in rows.items()
        if _median(row, key)
    ]


def _median(row: dict[str, Any], key: str) -> float | None:
    values = [run[key] for run in row["runs"] if key in run]
    return statistics.median(values) if values else None


def slope(points: Sequence[Point]) -> float:
    """Of log y over log x by least squares, in the upper half of the range on a logarithmic axis."""
    middle = math.sqrt(points[0][0] * points[-1][0])
    upper = [(math.log(x), math.log(y)) for x, y in points if x >= middle] if len(points) > 2 else []
    upper = upper if len(upper) > 1 else [(math.log(x), math.log(y)) for x, y in points[-2:]]
    x_mean, y_mean = (statistics.fmean(values) for values in zip(*upper, strict=True))
    return sum((x - x_mean) * (y - y_mean) for x, y in upper) / sum((x - x_mean) ** 2 for x, _ in upper)


def verdict(value: float) -> str:
    """A slope in words."""
    if abs(value) <= FLAT:
        return "flat"
    if value > LINEAR[1]:
        return "more than linear"
    return "linear" if value >= LINEAR[0] else "less than linear" if value > 0 else "falling"


def unit_of(key: str) -> str:
    """The unit in which a figure is shown."""
    if key.endswith("_bytes"):
        return "MB"
    return "ms" if key in ("load_s", "step_s") else "s"


def section(axis: Axis, rows: Rows, plots: Path) -> str:
    """Plot, table and slopes of an axis."""
    curves = {key: points_of(rows, key) for key in axis.figures}
    units = {key: unit_of(key) for key in axis.figures}
    titles = {key: f"{title}, {units[key]}" for key, title in axis.figures.items()}
    scales = {key: SCALES[unit] for key, unit in units.items()}
    panels = {
        titles[key]: [(x, y * scales[key]) for x, y in points] for key, points in curves.items() if points
    }
    plots.mkdir(parents=True, exist_ok=True)
    (plots / f"{axis.name}.svg").write_text(plot(panels, axis.across), encoding="utf-8")
    lines = []
    for name, row in rows.items():
        cells = [spread([run[key] * scales[key] for run in row["runs"]]) for key in axis.figures]
        lines.append([f"{_median(row, 'size') or float(name):,.0f}", *cells])
    slopes = {key: slope(points) for key, points in curves.items() if len(points) > 1}
    cells = [f"{slopes[key]:.2f}: {verdict(slopes[key])}" if key in slopes else "-" for key in axis.figures]
    table = markdown([axis.across, *titles.values()], [*lines, ["**growth**", *cells]])
    commits = ", ".join(sorted({row["commit"] for row in rows.values()}))
    image = f"![{axis.title}]({plots.name}/{axis.name}.svg)"
    parts = [f"## {axis.title}", f"{axis.about} Measured at {commits}.", table, axis.said, image]
    return "\n\n".join(filter(None, parts))


def document(results: Results, plots: Path) -> str:
    """All that was measured until now."""
    measured = [(axis, rows) for axis in AXES if (rows := results.rows(axis))]
    sections = [section(axis, rows, plots) for axis, rows in measured]
    return "\n\n".join([INTRODUCTION.format(machine=machine()), *sections])


INTRODUCTION = """\
# Cost of growth

`python benchmarks/growth.py --full SOURCE`, in pieces (`--only`), on {machine}.

Medians (least-most); each run is a fresh process. *Growth* is the slope of the figure over the size, both
logarithmic, in the upper half of the range: 0 if the figure does not grow, 1 if it doubles where the size
does. Up to 0.15 is called flat, 0.85 to 1.15 linear. Memory is the most that was resident, mapped weights
included. Other work on the machine moves single points; that moves a slope by about 0.1."""


def main() -> None:
    """Measure what is wanted, then write the document over everything that is known."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [axis.name for axis in AXES]
    p.add_argument("--only", nargs="*", choices=names, default=names, help="what grows (default: all)")
    p.add_argument("--points", nargs="+", type=float, help="only these sizes of it (default: all)")
    p.add_argument("--tiny", type=Path, default=ROOT / "tiny/checkpoint", help="the small model")
    p.add_argument("--full", type=Path, help="a source of full size, the last step of --only model")
    p.add_argument("--repeat", type=int, default=3, help="rounds (default: 3)")
    p.add_argument("--work", type=Path, default=ROOT / "benchmarks/.work/growth")
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/growth.md")
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results = Results(args.work / "results.json")
    place = Place(args.work.resolve(), args.tiny.resolve(), args.full and args.full.resolve())
    for axis in AXES:
        if axis.name in args.only:
            points = [point for point in axis.points if point in (args.points or axis.points)]
            measure(axis, points, place, args.repeat, results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(document(results, args.out.with_suffix("")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

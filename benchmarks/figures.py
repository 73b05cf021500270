"""Figures of runs as Markdown tables: medians, the least and the most, ratios of runs of the same round."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runs import Run

from voxrun.bench.tables import markdown, number

MISSING = "-"


@dataclass(frozen=True)
class Column:
    """A figure of a table. `ratio` adds a column: how it compares with the first row's, round by round."""

    title: str
    key: str
    scale: float = 1.0
    ratio: bool = False

    def values(self, runs: Sequence[Run]) -> list[float | None]:
        """The figure of each run, None where it is not known."""
        return [run.figures[self.key] * self.scale if self.key in run.figures else None for run in runs]


def seconds(title: str, key: str, ratio: bool = False) -> Column:
    """A column in seconds."""
    return Column(f"{title}, s", key, 1.0, ratio)


def milliseconds(title: str, key: str, ratio: bool = False) -> Column:
    """A column in milliseconds."""
    return Column(f"{title}, ms", key, 1e3, ratio)


def megabytes(title: str, key: str, ratio: bool = False) -> Column:
    """A column in MB (10^6 bytes)."""
    return Column(f"{title}, MB", key, 1e-6, ratio)


def spread(values: Sequence[float]) -> str:
    """Median, and from least to most where there are several."""
    middle = number(statistics.median(values))
    return f"{middle} ({number(min(values))}-{number(max(values))})" if len(values) > 1 else middle


def cell(column: Column, runs: Sequence[Run]) -> str:
    """A figure of a row; beyond the time limit that is all that is known."""
    known = [value for value in column.values(runs) if value is not None]
    if known:
        return spread(known)
    limits = [run.limit for run in runs if run.limit is not None]
    return f"> {limits[0]:,.0f} s" if limits and column.ratio and column.key.endswith("_s") else MISSING


def ratio(column: Column, runs: Sequence[Run], base: Sequence[Run]) -> str:
    """`1 : x`, the base's figure being 1, from the runs of the same rounds."""
    pairs = zip(column.values(runs), column.values(base), strict=False)
    ratios = [value / unit for value, unit in pairs if value is not None and unit]
    return f"1 : {spread(ratios)}" if ratios else MISSING


def table(
    columns: Sequence[Column],
    rows: Mapping[str, Sequence[Run]],
    notes: Mapping[str, str] | None = None,
    head: str = "",
) -> str:
    """A row for each name; ratios are to the first. Errors and `notes` stand in a last column."""
    base_name, base = next(iter(rows.items()))
    titles = [head]
    for column in columns:
        titles += [column.title, f"{base_name} : it"] if column.ratio else [column.title]
    lines = []
    for name, runs in rows.items():
        line = [name]
        for column in columns:
            line.append(cell(column, runs))
            if column.ratio:
                line.append("1" if runs is base else ratio(column, runs, base))
        said = [run.error for run in runs if run.error] + [(notes or {}).get(name, "")]
        lines.append([*line, "; ".join(filter(None, said))])
    if not any(line[-1] for line in lines):
        return markdown(titles, [line[:-1] for line in lines])
    return markdown([*titles, "note"], lines)

"""An evaluation as tables: short for people, and all figures as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from voxbuild.console import markdown
from voxbuild.statistics.estimate import Estimate

from .jobs import UNQUANTIZED

Content = Mapping[str, Any]
"""Of evaluation.json."""
BEFORE = ("variant", "bytes", "bits_per_weight", "delay_ms", "set", "language")
"""The first columns of the CSV; figures follow."""
ENDS = {"": "value", "_low": "low", "_high": "high"}


def by_size(content: Content) -> list[str]:
    """The models' names: the source, then the largest variant first."""
    sizes = {name: each["bytes"] for name, each in content["variants"].items()}
    return sorted(sizes, key=lambda name: (name != UNQUANTIZED, -sizes[name], name))


def short_table(content: Content) -> str:
    """The WER over all clips with its interval, by variant and delay, as a Markdown table."""
    over_all = {
        (cell["variant"], cell["delay_ms"]): cell
        for cell in content["cells"]
        if cell["set"] is None and cell["language"] is None
    }
    rows = [
        [
            name,
            f"{content['variants'][name]['bytes'] / 1e6:,.2f}",
            *(Estimate.of(over_all[name, delay]["wer"]).in_words(2) for delay in content["delays"]),
        ]
        for name in by_size(content)
    ]
    return markdown(rows, ["variant", "MB", *(f"WER % at {delay:g} ms" for delay in content["delays"])])


def as_csv(content: Content) -> str:
    """All cells, a line each; a figure with an interval has three columns: NAME, NAME_low and NAME_high.

    What is not known, or not finite, is empty.
    """
    rows = [_row(content, cell) for cell in content["cells"]]
    fullest = max(rows, key=len)
    columns = dict.fromkeys([*BEFORE, *fullest, *(name for row in rows for name in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _row(content: Content, cell: Content) -> dict[str, Any]:
    variant = content["variants"][cell["variant"]]
    return {name: variant[name] for name in ("bytes", "bits_per_weight")} | dict(_flat(cell))


def _flat(figures: Content) -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if not isinstance(value, Mapping):
            if value is not None:
                yield name, value
        elif "value" in value:
            yield from ((f"{name}{end}", value[key]) for end, key in ENDS.items())
        else:
            yield from _flat(value)

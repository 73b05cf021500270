"""The table of an evaluation in a model card: word error rates by clip set and delay."""

from collections.abc import Mapping
from typing import Any

from voxbuild.console import markdown
from voxbuild.statistics.estimate import Estimate

TITLE, ALL = "WER % by delay", "all clips"


def evaluation_table(evaluation: Mapping[str, Any]) -> str:
    """A row for each group of clips, a column for each delay, of the content of evaluation.json."""
    rows: dict[str, list[str]] = {}
    for cell in evaluation["cells"]:
        rows.setdefault(_name(cell), []).append(Estimate.of(cell["wer"]).in_words(2))
    header = [TITLE, *(f"{delay:g} ms" for delay in evaluation["delays"])]
    return markdown([[name, *rates] for name, rates in rows.items()], header)


def _name(cell: Mapping[str, Any]) -> str:
    return cell["set"] or (f"language {cell['language']}" if cell["language"] else ALL)

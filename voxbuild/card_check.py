"""Does a card say what was measured? Every number is read back out of what was rendered, and compared.

This reads the files as a visitor of the repository gets them: the front matter and the evaluation results by
the Hub client's own readers, the tables from the Markdown. It shares nothing with what wrote them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .manifest import CARD, EVAL_RESULTS, PLOT, Manifest

SET = re.compile(r"(\S+) \((\d+) clips\)")
"""How a result names its clip set."""
ALL = "all"
RATES = ("wer", "cer")
SETS = {
    "clips": ("clips", 0),
    "words": ("words", 0),
    "WER %": ("wer", 2),
    "CER %": ("cer", 2),
    "unquantized WER %": ("unquantized_wer", 2),
}
"""Columns of the table of clip sets: what of a set's rates they hold, with how many decimals."""
VARIANTS = {"MB": 2, "bits per weight": 3, "WER %": 2, "WER % in the worst set": 2}


@dataclass(frozen=True)
class Table:
    """A table of the text; cells without the marks of bold type."""

    header: list[str]
    rows: list[list[str]]
    bold: list[bool]
    """Which rows are."""


def check_card(folder: Path, manifest: Manifest, validation: Mapping[str, Any]) -> list[str]:
    """What a card says that manifest and validation do not, a phrase each; [] if nothing."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
        results = _results(text)
        entries = _entries(folder) if EVAL_RESULTS in manifest.files else []
        tables = list(_tables(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        return [f"it cannot be read: {' '.join(str(error).split())}"]
    return [
        *_check_results(results, validation["sets"]),
        *_check_entries(entries, results, validation["sets"]),
        *_check_facts(tables, manifest, validation["fidelity"]),
        *_check_sets(tables, validation),
        *_check_variants(tables, manifest, validation, f"]({PLOT})" in text),
    ]


def _results(text: str) -> list[Any]:
    """The card's results, by the client's reader."""
    from huggingface_hub import ModelCard

    return list(ModelCard(text).data.get("eval_results", []))


def _entries(folder: Path) -> list[Any]:
    from huggingface_hub import parse_eval_result_entries

    return parse_eval_result_entries(yaml.safe_load((folder / EVAL_RESULTS).read_text(encoding="utf-8")))


def _check_results(results: list[Any], sets: Mapping[str, Any]) -> Iterator[str]:
    """The model-index holds both rates of every set, once, and nothing else."""
    found = [(*_set(result.dataset_name), result.metric_type, result.metric_value) for result in results]
    expected = [(name, sets[name]["clips"], rate, sets[name][rate]) for name in sets for rate in RATES]
    yield from _differences(f"{CARD}: model-index", found, expected)


def _check_entries(entries: list[Any], results: list[Any], sets: Mapping[str, Any]) -> Iterator[str]:
    """The file of evaluation results holds the WER of each set whose dataset has a revision on the Hub."""
    found = [(*_set(entry.notes or ""), entry.dataset_id, entry.value) for entry in entries]
    on_the_hub = {_set(r.dataset_name)[0]: r.dataset_type for r in results if r.dataset_revision}
    expected = [(n, sets[n]["clips"], d, sets[n]["wer"]) for n, d in on_the_hub.items() if n in sets]
    yield from _differences(EVAL_RESULTS, found, expected)


def _set(text: str) -> tuple[str, int]:
    """The clip set that is named, and how many clips it has."""
    named = SET.match(text)
    return (named[1], int(named[2])) if named else ("?", 0)


def _differences(where: str, found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> Iterator[str]:
    if sorted(map(repr, found)) != sorted(map(repr, expected)):
        for wrong in found:
            if wrong not in expected or found.count(wrong) > 1:
                yield f"{where}: {_said(wrong)}, which was not measured"
        for lost in expected:
            if lost not in found:
                yield f"{where}: lacks {_said(lost)}"


def _said(parts: tuple[Any, ...]) -> str:
    return " ".join(map(str, parts))


def _check_facts(tables: list[Table], manifest: Manifest, near: Mapping[str, Any]) -> Iterator[str]:
    """What stands in tables of two columns."""
    facts = [(row[0], row[1]) for table in tables if len(table.header) == 2 for row in table.rows]
    for name, value, digits in (
        ("bits per weight", manifest.bits_per_weight, 3),
        ("parameters", manifest.parameters, 0),
        ("size of the weights", manifest.weight_bytes / 1e6, 2),
        ("positions compared", near["positions"], 0),
        ("same likeliest token", 100 * near["top1_agreement"], 2),
        ("KL divergence, mean", near["kl_mean"], 5),
        ("KL divergence, 99th percentile", near["kl_p99"], 4),
    ):
        said = [text.split(" ")[0] for label, text in facts if label == name]
        yield from _compare(f"{CARD}: {name}", said, value, digits)


def _check_sets(tables: list[Table], validation: Mapping[str, Any]) -> Iterator[str]:
    """What was heard, set by set."""
    total = validation["total"] | {"unquantized_wer": validation["unquantized"]["wer"]}
    expected = {**validation["sets"], ALL: total}
    rows = _rows(tables, ["clip set", *SETS])
    if unknown := {row[0] for row in rows} - expected.keys():
        yield f"{CARD}: {', '.join(sorted(unknown))}: no such clip set"
    for name, rates in expected.items():
        for column, (rate, digits) in enumerate(SETS.values(), 1):
            said = [row[column] for row in rows if row[0] == name]
            yield from _compare(f"{CARD}: {name}, {list(SETS)[column - 1]}", said, rates[rate], digits)


def _check_variants(
    tables: list[Table], manifest: Manifest, validation: Mapping[str, Any], shown: bool
) -> Iterator[str]:
    """A plot (is it `shown`?) goes with a table of variants, in which this one is bold."""
    listed = any(table.header == ["variant", *VARIANTS] for table in tables)
    if not listed == shown == (PLOT in manifest.files):
        yield f"{CARD}: the table of variants, {PLOT} and what shows it go together"
    if not listed:
        return
    own = _rows(tables, ["variant", *VARIANTS], bold=True)
    values = (
        manifest.weight_bytes / 1e6,
        manifest.bits_per_weight,
        validation["total"]["wer"],
        max(rates["wer"] for rates in validation["sets"].values()),
    )
    for column, ((name, digits), value) in enumerate(zip(VARIANTS.items(), values, strict=True), 1):
        yield from _compare(f"{CARD}: this variant's {name}", [row[column] for row in own], value, digits)


def _rows(tables: list[Table], header: list[str], bold: bool = False) -> list[list[str]]:
    """The rows of all tables with this header; those that are bold, if so asked."""
    return [
        row
        for table in tables
        if table.header == header
        for row, is_bold in zip(table.rows, table.bold, strict=True)
        if is_bold or not bold
    ]


def _compare(what: str, said: list[str], value: float, digits: int) -> Iterator[str]:
    expected = f"{value:,.{digits}f}"
    if said != [expected]:
        yield f"{what}: {' and '.join(said) or 'nothing'}, not {expected}"


def _tables(text: str) -> Iterator[Table]:
    """The tables of a Markdown text. Raises ValueError if one is no table."""
    for lines in re.findall(r"(?:^\|.*\|[ ]*\n)+", text, re.MULTILINE):
        header, _, *rows = (
            [cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines.splitlines()
        )
        if any(len(row) != len(header) for row in rows):
            raise ValueError(f"the table of {header[0]} has rows of other lengths")
        plain = [[cell.strip("* ") for cell in row] for row in rows]
        bold = [row[0].startswith("**") for row in rows]
        yield Table(header, plain, bold)

"""Checking a card's table of an evaluation against the artifact's evaluation.json, which must be of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxbuild.artifact.evaluated import weights_of
from voxbuild.artifact.manifest import CARD, EVALUATION, Manifest
from voxbuild.files import read_json

from .reader import Row

FIRST = "WER % by delay"


def read_evaluation(folder: Path, manifest: Manifest) -> dict[str, Any] | None:
    """The artifact's evaluation; None if it has none. Raises OSError, FormatError."""
    return dict(read_json(folder / EVALUATION)) if EVALUATION in manifest.files else None


def header_of(evaluation: Mapping[str, Any]) -> list[str]:
    """The header of its table."""
    return [FIRST, *(f"{delay:g} ms" for delay in evaluation["delays"])]


def check_evaluation(
    tables: Mapping[tuple[str, ...], list[Row]], evaluation: Mapping[str, Any], manifest: Manifest
) -> Iterator[str]:
    """How the table differs from the evaluation, and the evaluation from the artifact, a phrase each."""
    if evaluation["variant"]["digest"] != weights_of(manifest):
        yield f"{EVALUATION}: of other weights; run `doit build` again"
    expected = {
        (cell["set"], cell["language"], cell["delay_ms"]): _figure(cell["wer"])
        for cell in evaluation["cells"]
    }
    found: dict[tuple[str | None, str | None, float], str] = {}
    for row in tables.get(tuple(header_of(evaluation)), []):
        name, *rates = row.cells
        for delay, rate in zip(evaluation["delays"], rates, strict=True):
            if found.setdefault((*_group(name), delay), rate) != rate:
                yield f"{CARD}: {name} is there twice"
    for key in sorted(expected.keys() | found.keys(), key=str):
        if expected.get(key) != found.get(key):
            group = key[0] or key[1] or "all clips"
            told, known = found.get(key, "nothing"), expected.get(key, "nothing")
            yield f"{CARD}: WER of {group} at {key[2]:g} ms: {told}, not {known}"


def _group(name: str) -> tuple[str | None, str | None]:
    if name == "all clips":
        return None, None
    return (None, name.removeprefix("language ")) if name.startswith("language ") else (name, None)


def _figure(stored: Mapping[str, float] | None) -> str:
    if stored is None:
        return "not finite"
    return f"{stored['value']:.2f} ({stored['low']:.2f} to {stored['high']:.2f})"

"""evaluation.json in an artifact's folder: what the last `doit evaluate` found of exactly these weights."""

from typing import Any

from voxbuild.files import read_state

from .manifest import Manifest
from .variant import Variant

FORMAT = 1
"""Of both files: the whole evaluation of a source, and the part of it that an artifact has."""
SHARED = ("format", "source", "runtime", "delays", "default_delay", "sets")
"""What the part has of the whole."""


def evaluated(variant: Variant, manifest: Manifest) -> dict[str, Any] | None:
    """The figures of the variant's weights, without texts; None if they were not evaluated last time."""
    whole = read_state(variant.work.evaluation_file(variant.source.name))
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        return None
    digest = weights_of(manifest)
    for name, known in whole["variants"].items():
        if known["digest"] == digest:
            cells = [_without_name(cell) for cell in whole["cells"] if cell["variant"] == name]
            return {key: whole[key] for key in SHARED} | {"variant": known, "cells": cells}
    return None


def weights_of(manifest: Manifest) -> str:
    """The digest of the weights that were heard: of a view its artifact's."""
    return (manifest.view or {}).get("artifact", manifest.weight_digest)


def _without_name(cell: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cell.items() if name != "variant"}

"""What an artifact was heard to say, and its fidelity, kept for a validation by other gates.

A validation hears nothing again while the weights, the source, the recordings and the versions are the same.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.files import read_state, write_json
from voxbuild.recipes.origins.base import Clip
from voxrun.files.hashes import sha256_of

from .measure import Heard

Transcripts = Mapping[str, Heard]
Figures = tuple[dict[str, Heard], dict[str, float]]
"""The transcripts by clip, and the fidelity."""


def inputs_of(
    variant: Variant,
    manifest: Manifest,
    clips: Sequence[Clip],
    reference: Transcripts,
    runtime: Mapping[str, str],
) -> str:
    """One digest of everything that determines the figures; gates and texts of the clips do not."""
    inputs = {
        "artifact": manifest.weight_digest,
        "source": variant.fetched.identity(),
        "recordings": [(clip.name, sha256_of(clip.path)) for clip in clips],
        "reference": _plain(reference),
        "versions": [tool_versions(), dict(runtime)],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def recall(path: Path, inputs: str) -> Figures | None:
    """The figures in a file of `remember`; None if there are none, or of other inputs."""
    stored = read_state(path)
    if not isinstance(stored, dict) or stored.get("inputs") != inputs:
        return None
    return {name: Heard(**entry) for name, entry in stored["heard"].items()}, stored["fidelity"]


def remember(path: Path, inputs: str, heard: Transcripts, fidelity: Mapping[str, Any]) -> None:
    """Write figures for `recall`, unless one is not a number: such an artifact is measured again."""
    if all(isinstance(value, int | float) and math.isfinite(value) for value in fidelity.values()):
        write_json(path, {"inputs": inputs, "heard": _plain(heard), "fidelity": dict(fidelity)})


def _plain(heard: Transcripts) -> dict[str, dict[str, Any]]:
    return {name: asdict(entry) for name, entry in heard.items()}

"""What an artifact consists of: every file's hash, and everything its bytes follow from."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voxrun.manifest import MANIFEST, SIGNATURE

from .errors import VoxbuildError
from .workspace import read_json, sha256_of, write_json

__all__ = [
    "CARD",
    "DESCRIPTIVE",
    "EVAL_RESULTS",
    "MANIFEST",
    "OPTIONAL",
    "PLOT",
    "SIGNATURE",
    "VALIDATION",
    "Manifest",
    "describe",
    "file_entry",
]

VALIDATION = "validation.json"
CARD = "README.md"
EVAL_RESULTS = ".eval_results/voxbuild.yaml"
PLOT = "wer.png"
DESCRIPTIVE = (VALIDATION, CARD, EVAL_RESULTS, PLOT)
"""What is written about the weights once they are converted; all other files are what validation proves."""
OPTIONAL = (EVAL_RESULTS, PLOT)
"""Those that not every card has; where it has none, the stage of the card leaves none."""


@dataclass(frozen=True)
class Manifest:
    """`manifest.json`: no times, no machine, so equal inputs give equal bytes."""

    variant: str
    model: str
    source: dict[str, Any]
    recipe: dict[str, Any]
    """Its name, and the digest of all that `recipes/` said: `Book.digest`."""
    tools: dict[str, str]
    device: str
    parameters: int
    bits_per_weight: float
    files: dict[str, dict[str, Any]]
    """path -> size and sha256; this file itself apart."""
    validated: bool
    format: int = 1
    view: dict[str, str] | None = None
    """Of a view: its dialect, and the weight digest of the artifact whose tensors it holds."""

    @property
    def weight_files(self) -> dict[str, dict[str, Any]]:
        """The files that conversion made: what validation proves."""
        return {n: e for n, e in self.files.items() if n not in DESCRIPTIVE}

    @property
    def weight_digest(self) -> str:
        """One hash for all of those."""
        return hashlib.sha256(json.dumps(self.weight_files, sort_keys=True).encode()).hexdigest()

    @property
    def weight_bytes(self) -> int:
        """Size of the weights themselves."""
        return sum(int(e["size"]) for name, e in self.files.items() if name.endswith(".safetensors"))

    @property
    def nbytes(self) -> int:
        """Size of all files."""
        return sum(int(entry["size"]) for entry in self.files.values())

    def unvalidated(self) -> "Manifest":
        """The same artifact, of which nothing is proven."""
        return replace(self, files=self.weight_files, validated=False)

    def completed(self, digest: str, described: dict[str, dict[str, Any]]) -> "Manifest":
        """The same artifact, validated by the recipe of this digest and described by these further files."""
        recipe = self.recipe | {"digest": digest}
        return replace(self, recipe=recipe, files=self.weight_files | described, validated=True)

    def save(self, folder: Path) -> None:
        """Write it into the artifact."""
        fields = asdict(self)
        if self.view is None:
            del fields["view"]
        write_json(folder / MANIFEST, fields)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read an artifact's. Raises VoxbuildError if it is not there or not one of ours."""
        path = folder / MANIFEST
        try:
            return cls(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise VoxbuildError(f"{path}: no readable manifest ({error}); build it again") from error

    def damaged(self, folder: Path, names: Iterable[str] | None = None) -> list[str]:
        """Those of the files (all, if none are named) that are missing or differ from their hashes."""
        chosen = self.files if names is None else names
        return [name for name in chosen if not _intact(folder / name, self.files[name])]


def _intact(path: Path, entry: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == entry["size"] and sha256_of(path) == entry["sha256"]


def file_entry(path: Path) -> dict[str, Any]:
    """Size and hash of a file on disk."""
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def describe(folder: Path, names: Iterable[str] = DESCRIPTIVE) -> dict[str, dict[str, Any]]:
    """Size and hash of what is written about an artifact; an optional file may be missing."""
    there = [name for name in names if name not in OPTIONAL or (folder / name).is_file()]
    return {name: file_entry(folder / name) for name in there}

"""What an artifact consists of: every file's hash, and everything its bytes follow from."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pydantic
from pydantic.dataclasses import dataclass

from voxbuild.errors import VoxbuildError
from voxbuild.files import to_json, write_text
from voxrun.errors import ModelError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import read_bytes
from voxrun.files.strict import load, parse
from voxrun.messages import sentence, shown
from voxrun.trust.manifest import MANIFEST, SIGNATURE, Entry, read_entries
from voxrun.trust.proof import found
from voxrun.trust.provenance import PROVENANCE

__all__ = [
    "BOM",
    "CARD",
    "DESCRIPTIVE",
    "EVAL_RESULTS",
    "MANIFEST",
    "OPTIONAL",
    "PLOT",
    "PROVENANCE",
    "SIGNATURE",
    "VALIDATION",
    "Manifest",
    "describe",
    "file_entry",
    "manifest_bytes",
    "read_validation",
]

VALIDATION = "validation.json"
CARD = "README.md"
EVAL_RESULTS = ".eval_results/voxbuild.yaml"
PLOT = "wer.png"
BOM = "bom.cdx.json"
DESCRIPTIVE = (VALIDATION, CARD, EVAL_RESULTS, PLOT, BOM, PROVENANCE)
"""What is written about the weights once they are converted, in this order; provenance covers the others.

All other files are what validation proves.
"""
OPTIONAL = (EVAL_RESULTS, PLOT)
"""Those that not every card has; where it has none, the stage of the card leaves none."""
TORN = re.compile(r"(.*/)?\.[^/]+\.\d+\.partial")
"""What a process that was killed while it wrote a file leaves: `workspace.written_whole`. Nobody reads it."""


@dataclass(frozen=True, config=pydantic.ConfigDict(strict=True, extra="forbid"))
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
    files: dict[str, Entry]
    """path -> size and sha256; this file itself apart."""
    validated: bool
    format: int = 1
    view: dict[str, str] | None = None
    """Of a view: its dialect, and the weight digest of the artifact whose tensors it holds."""

    @property
    def weight_files(self) -> dict[str, Entry]:
        """The files that conversion made: what validation proves."""
        return {n: e for n, e in self.files.items() if n not in DESCRIPTIVE}

    @property
    def source_files(self) -> dict[str, Entry]:
        """The source's files, by what `source` says of them."""
        return {
            name: Entry(entry["size"], entry["sha256"])
            for name, entry in self.source.get("files", {}).items()
        }

    @property
    def weight_digest(self) -> str:
        """One hash for all of those."""
        return hashlib.sha256(json.dumps(plain(self.weight_files), sort_keys=True).encode()).hexdigest()

    @property
    def weight_bytes(self) -> int:
        """Size of the weights themselves."""
        return sum(entry.size for name, entry in self.files.items() if name.endswith(".safetensors"))

    @property
    def nbytes(self) -> int:
        """Size of all files."""
        return sum(entry.size for entry in self.files.values())

    def unvalidated(self) -> "Manifest":
        """The same artifact, of which nothing is proven."""
        return replace(self, files=self.weight_files, validated=False)

    @property
    def as_converted(self) -> "Manifest":
        """As conversion wrote it: without all that was said about it later."""
        recipe = {key: said for key, said in self.recipe.items() if key != "digest"}
        return replace(self.unvalidated(), recipe=recipe)

    def completed(self, digest: str, described: dict[str, Entry]) -> "Manifest":
        """The same artifact, validated by the recipe of this digest and described by these further files."""
        recipe = self.recipe | {"digest": digest}
        return replace(self, recipe=recipe, files=self.weight_files | described, validated=True)

    @property
    def text(self) -> str:
        """What the file holds."""
        fields = asdict(self)
        if self.view is None:
            del fields["view"]
        return to_json(fields)

    def save(self, folder: Path) -> None:
        """Write it into the artifact; a signature of another one goes away."""
        path, text = folder / MANIFEST, self.text
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            (folder / SIGNATURE).unlink(missing_ok=True)
        write_text(path, text)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read an artifact's. Raises VoxbuildError if it is not there or not one of ours."""
        return cls.of(manifest_bytes(folder), folder / MANIFEST)

    @classmethod
    def of(cls, content: bytes, path: Path | str) -> "Manifest":
        """The one with these bytes, read from this path. Raises VoxbuildError if it is not one of ours."""
        try:
            raw = parse(content)
            return cls(**raw | {"files": read_entries(raw, str(path))})
        except (ValueError, TypeError, AttributeError, ModelError) as error:
            raise _unreadable(path, error) from error

    def damaged(
        self,
        folder: Path,
        names: Iterable[str] | None = None,
        progress: Callable[[int], object] = lambda done: None,
    ) -> list[str]:
        """The files that are missing or differ: of `names`, or (None) of all. `progress`: see `sha256_of`."""

        def intact(path: Path, entry: Entry) -> bool:
            there = path.is_file() and path.stat().st_size == entry.size
            return there and sha256_of(path, progress) == entry.sha256

        chosen = self.files if names is None else names
        return [name for name in chosen if not intact(folder / name, self.files[name])]

    def refuse_strangers(self, folder: Path, written: Iterable[str] = ()) -> None:
        """Raises VoxbuildError if something lies in the folder that is not the artifact's.

        `written` are further files that belong there. What is not in the manifest could be loaded in the
        place of what is: then it, and not the artifact, would be what is heard, signed or proven.
        """
        own = {*self.files, *written, MANIFEST, SIGNATURE}
        if strange := sorted(name for name in set(found(folder)) - own if not TORN.fullmatch(name)):
            names = sentence(", ".join(map(shown, strange)))
            raise VoxbuildError(f"{folder}: not in its manifest: {names}; remove what does not belong there")


def manifest_bytes(folder: Path) -> bytes:
    """An artifact's manifest as it lies there. Raises VoxbuildError."""
    try:
        return read_bytes(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise _unreadable(folder / MANIFEST, error) from error


def _unreadable(path: Path | str, error: Exception) -> VoxbuildError:
    return VoxbuildError(f"{path}: no readable manifest ({sentence(error)}); build it again")


def read_validation(folder: Path) -> dict[str, Any]:
    """An artifact's validation.json. Raises VoxbuildError if it is not there or not one of ours."""
    path = folder / VALIDATION
    try:
        report = load(path)
        passed, proven = report["passed"], report["artifact"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise VoxbuildError(f"{path}: no readable validation ({sentence(error)}); build it again") from error
    if type(passed) is not bool or not isinstance(proven, dict):
        raise VoxbuildError(f"{path}: no readable validation; build it again")
    return dict(report)


def file_entry(path: Path) -> Entry:
    """Size and hash of a file on disk."""
    return Entry(path.stat().st_size, sha256_of(path))


def plain(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Entries as JSON holds them."""
    return {name: asdict(entry) for name, entry in entries.items()}


def describe(folder: Path, names: Iterable[str] = DESCRIPTIVE) -> dict[str, Entry]:
    """Size and hash of what is written about an artifact; an optional file may be missing."""
    there = [name for name in names if name not in OPTIONAL or (folder / name).is_file()]
    return {name: file_entry(folder / name) for name in there}

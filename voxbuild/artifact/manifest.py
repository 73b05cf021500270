"""manifest.json: the hash of every file of an artifact, and what its bytes follow from."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pydantic
from pydantic.dataclasses import dataclass

from voxbuild.errors import VoxbuildError
from voxbuild.files import TORN, to_json, write_text
from voxrun.errors import ModelError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import read_bytes
from voxrun.files.strict import load, parse
from voxrun.messages import sentence, shown
from voxrun.trust.manifest import MANIFEST as MANIFEST
from voxrun.trust.manifest import SIGNATURE as SIGNATURE
from voxrun.trust.manifest import Entry, read_entries
from voxrun.trust.provenance import PROVENANCE as PROVENANCE

VALIDATION = "validation.json"
CARD = "README.md"
EVALUATION = "evaluation.json"
EVAL_RESULTS = ".eval_results/voxbuild.yaml"
PLOT = "wer.png"
BOM = "bom.cdx.json"
DESCRIPTIVE = (VALIDATION, EVALUATION, CARD, EVAL_RESULTS, PLOT, BOM, PROVENANCE)
"""Files that describe the weights, in the order in which they are written; provenance covers the others.

All other files are the weight files, which validation proves.
"""
OPTIONAL = (EVALUATION, EVAL_RESULTS, PLOT)
"""Files that not every artifact has; the card's stage removes old ones."""


@dataclass(frozen=True, config=pydantic.ConfigDict(strict=True, extra="forbid", defer_build=True))
class Manifest:
    """`manifest.json`: no times, no machine, so equal inputs give equal bytes."""

    variant: str
    model: str
    source: dict[str, Any]
    recipe: dict[str, Any]
    """Its name, and the digest of all that `recipes/` says: `Book.digest`."""
    tools: dict[str, str]
    device: str
    parameters: int
    bits_per_weight: float
    files: dict[str, Entry]
    """path -> size and sha256, without the manifest and the signature."""
    validated: bool
    format: int = 1
    view: dict[str, str] | None = None
    """Of a view: its dialect, and the weight digest of the artifact whose tensors it holds."""

    @property
    def weight_files(self) -> dict[str, Entry]:
        """The files that conversion wrote, which validation proves."""
        return {n: e for n, e in self.files.items() if n not in DESCRIPTIVE}

    @property
    def source_files(self) -> dict[str, Entry]:
        """The source's files, as listed in `source`."""
        return {
            name: Entry(entry["size"], entry["sha256"])
            for name, entry in self.source.get("files", {}).items()
        }

    @property
    def weight_digest(self) -> str:
        """One hash of all weight files."""
        return hashlib.sha256(json.dumps(plain(self.weight_files), sort_keys=True).encode()).hexdigest()

    @property
    def weight_bytes(self) -> int:
        """Size of all shards."""
        return sum(entry.size for name, entry in self.files.items() if name.endswith(".safetensors"))

    @property
    def nbytes(self) -> int:
        """Size of all files."""
        return sum(entry.size for entry in self.files.values())

    def unvalidated(self) -> "Manifest":
        """The manifest before validation."""
        return replace(self, files=self.weight_files, validated=False)

    @property
    def as_converted(self) -> "Manifest":
        """What only conversion writes: without what `completed` adds or changes."""
        recipe = {key: value for key, value in self.recipe.items() if key != "digest"}
        return replace(self.unvalidated(), recipe=recipe, model="")

    def completed(self, model: str, digest: str, described: dict[str, Entry]) -> "Manifest":
        """The manifest of the validated artifact, with its descriptive files.

        `model` is the source's present name for it, `digest` that of the recipe: neither changes a weight.
        """
        recipe = self.recipe | {"digest": digest}
        files = self.weight_files | described
        return replace(self, model=model, recipe=recipe, files=files, validated=True)

    @property
    def text(self) -> str:
        """The file's content."""
        fields = asdict(self)
        if self.view is None:
            del fields["view"]
        return to_json(fields)

    def save(self, folder: Path) -> None:
        """Write it into the artifact's folder; if it changes, remove the signature."""
        path, text = folder / MANIFEST, self.text
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            (folder / SIGNATURE).unlink(missing_ok=True)
        write_text(path, text)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read the manifest in a folder. Raises VoxbuildError if it is missing or invalid."""
        return cls.of(manifest_bytes(folder), folder / MANIFEST)

    @classmethod
    def of(cls, content: bytes, path: Path | str) -> "Manifest":
        """Parse a manifest; `path` is for the error. Raises VoxbuildError if it is invalid."""
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

    def refuse_unlisted(self, folder: Path, written: Iterable[str] = ()) -> None:
        """Raises VoxbuildError if the folder holds other files than the artifact's and `written`.

        They could be loaded instead of the artifact's files, and be validated, signed or published for them.
        """
        from voxrun.trust.proof import found  # with all that describes a model's folder

        own = {*self.files, *written, MANIFEST, SIGNATURE}
        if strange := sorted(name for name in set(found(folder)) - own if not TORN.fullmatch(name)):
            names = sentence(", ".join(map(shown, strange)))
            raise VoxbuildError(f"{folder}: not in its manifest: {names}; remove these files")


def manifest_bytes(folder: Path) -> bytes:
    """The bytes of an artifact's manifest. Raises VoxbuildError."""
    try:
        return read_bytes(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise _unreadable(folder / MANIFEST, error) from error


def _unreadable(path: Path | str, error: Exception) -> VoxbuildError:
    return VoxbuildError(f"{path}: cannot read the manifest ({sentence(error)}); build it again")


def read_validation(folder: Path) -> dict[str, Any]:
    """An artifact's validation.json. Raises VoxbuildError if it is missing or invalid."""
    path = folder / VALIDATION
    try:
        report = load(path)
        if type(report["passed"]) is not bool or not isinstance(report["artifact"], dict):
            raise TypeError("passed must be a bool, artifact an object")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise VoxbuildError(
            f"{path}: cannot read the validation ({sentence(error)}); build it again"
        ) from error
    return dict(report)


def file_entry(path: Path) -> Entry:
    """Size and hash of a file on disk."""
    return Entry(path.stat().st_size, sha256_of(path))


def plain(entries: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Entries as JSON objects."""
    return {name: asdict(entry) for name, entry in entries.items()}


def describe(folder: Path, names: Iterable[str] = DESCRIPTIVE) -> dict[str, Entry]:
    """Size and hash of the descriptive files; optional ones may be missing."""
    there = [name for name in names if name not in OPTIONAL or (folder / name).is_file()]
    return {name: file_entry(folder / name) for name in there}

"""Where things lie in a project, and how small files are written whole."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.files import strict
from voxrun.files.hashes import HASH_BLOCK, sha256_of
from voxrun.files.paths import StrictError

from .errors import FormatError

__all__ = [
    "HASH_BLOCK",
    "STATE_BYTES",
    "Workspace",
    "read_json",
    "read_state",
    "sha256_of",
    "stamp",
    "to_json",
    "write_json",
    "write_text",
    "written_whole",
]
STATE_BYTES = 64 * 2**20
"""Of a JSON file: what is heard in a large corpus takes some MB."""


@dataclass(frozen=True)
class Workspace:
    """A project's folders, all below its root."""

    root: Path

    @property
    def recipes(self) -> Path:
        """Recipes; sources/ and clips/ are below it."""
        return self.root / "recipes"

    @property
    def clips(self) -> Path:
        """Definitions of clip sets."""
        return self.recipes / "clips"

    @property
    def cards(self) -> Path:
        """Templates of model cards."""
        return self.root / "model_cards"

    def siblings_file(self, source: str) -> Path:
        """The record of what is published of a source."""
        return self.cards / "siblings" / f"{source}.json"

    @property
    def out(self) -> Path:
        """Everything that is built."""
        return self.root / "out"

    @property
    def registry(self) -> Path:
        """The local registry, in the Hub cache's layout."""
        return self.out / "registry"

    def artifact(self, source: str, recipe: str) -> Path:
        """A finished artifact's folder."""
        return self.out / source / recipe

    def state(self, source: str) -> Path:
        """What stages tell each other about a source: hashes, plans, reference transcripts."""
        return self.out / ".state" / source

    def source_file(self, source: str) -> Path:
        """What fetch found: where the files lie, their sizes and hashes."""
        return self.state(source) / "source.json"

    def proof_file(self, source: str) -> Path:
        """Which weights were read to the end and had the hash that they should have."""
        return self.state(source) / "proof.json"

    def stamps_file(self, artifact: Path) -> Path:
        """The stamps of an artifact's files when, though touched, they had their hashes."""
        return self.state(artifact.parent.name) / f"{artifact.name}.stamps.json"

    def plan_file(self, source: str, recipe: str) -> Path:
        """What convert will do."""
        return self.state(source) / f"{recipe}.plan.json"

    def reference_file(self, source: str, clips: str) -> Path:
        """What the unquantized source hears in a clip set."""
        return self.state(source) / f"{clips}.reference.json"

    def moments_file(self, source: str, clips: str) -> Path:
        """How much each input of each matrix matters, by the unquantized source over a clip set."""
        return self.state(source) / f"{clips}.moments.safetensors"

    def partial(self, source: str, recipe: str) -> Path:
        """Where an artifact is while it is not whole."""
        return self.out / ".partial" / f"{source}--{recipe}"

    def again(self, source: str, recipe: str) -> Path:
        """Where an artifact's weights are made once more, to compare."""
        return self.out / ".partial" / f"{source}--{recipe}.again"


def write_json(path: Path, value: Any) -> None:
    """Write sorted JSON; the file is the old one or the whole new one, never half of it."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """The same as text."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """The same for text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the file's place if all goes well, and is gone if not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write the same file
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote, or that came from elsewhere. Raises OSError, FormatError."""
    try:
        return strict.load(path, STATE_BYTES)
    except StrictError as error:
        raise FormatError(f"{path}: {error}") from error


def read_state(path: Path) -> Any:
    """Read what a stage wrote for others; None if it is not there, or a crash of the machine spoiled it."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def stamp(path: Path) -> list[int]:
    """What changes when a file does, for the price of a stat: size, time of change, inode."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]

"""Files by their hashes on a worker's machine: seen at the client's path, sent by it, or downloaded."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from voxbuild.errors import ValidationError, VoxbuildError, one_line
from voxbuild.files import stamp, written_whole
from voxrun.errors import VoxrunError
from voxrun.files.hashes import sha256_of

from .jobs import Model

Contents = tuple[tuple[str, str], ...]
"""Name and sha256 of each file that is loaded of a model's folder."""

BESIDE_WEIGHTS = 1e9
"""Bytes of memory that hearing takes, in addition to the weights."""
PAUSED_AT = 0.8
"""The share of its memory limit at which Dask pauses a worker."""


class UnfitError(VoxbuildError):
    """One worker cannot hear the clips; another may."""


def find(path: Path, sha256: str, scratch: Path) -> Path | None:
    """The file with this content: at its path, or kept in `scratch`."""
    for place in (path, scratch / sha256):
        try:
            if _sha256(place, *stamp(place)) == sha256:
                return place
        except OSError:
            continue
    return None


def keep(sha256: str, content: bytes, dask_worker: Any) -> None:
    """Keep the content of a file for `find`, until the worker ends. Dask gives the worker. Raises OSError."""
    path = scratch_of(dask_worker) / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_bytes(content)


def scratch_of(worker: Any) -> Path:
    """The folder for files that a worker of Dask is sent."""
    return Path(worker.local_directory) / "voxbuild"


def contents(folder: Path) -> Contents:
    """What is loaded of a model's folder. Raises OSError, ConfigError, WeightsError."""
    from voxrun.checkpoint.layout import CONFIG, PARAMS, TOKENIZER_FILE, Layout

    layout = Layout(folder)
    config = CONFIG if (folder / CONFIG).is_file() and not layout.is_mistrals else PARAMS
    paths = [*layout.weight_files, folder / config, folder / TOKENIZER_FILE]
    return tuple(sorted((path.relative_to(folder).as_posix(), _sha256(path, *stamp(path))) for path in paths))


def weights(model: Model, expected: Contents) -> Path:
    """The folder of a model on this machine: at the same path, or of its repository. Raises UnfitError."""
    if _has(model.folder, expected):
        return model.folder
    absent = f"the weights of {model.name} are not in {model.folder} there"
    if model.repo is None:
        raise UnfitError(f"{absent}; share this folder with the workers, or publish it")
    from voxrun.trust.locate import locate

    try:
        folder = locate(model.repo)
    except VoxrunError as error:
        raise UnfitError(f"{absent}; {one_line(error)}") from None
    if not _has(folder, expected):
        raise UnfitError(f"{absent}, and {model.repo} has others; share this folder with the workers")
    return folder


def _has(folder: Path, expected: Contents) -> bool:
    try:
        return contents(folder) == expected
    except (OSError, VoxrunError):
        return False


def content_of(path: Path, sha256: str) -> bytes:
    """A file to send. Raises ValidationError if it is not what it was."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValidationError(f"{path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValidationError(f"{path}: changed while clips were heard; run it again")
    return content


def memory_for(folder: Path) -> float:
    """The memory limit in bytes below which Dask may pause a worker that hears with the model in a folder."""
    from voxrun.checkpoint.layout import Layout

    weights = sum(path.stat().st_size for path in Layout(folder).weight_files)
    return (weights + BESIDE_WEIGHTS) / PAUSED_AT


@cache
def _sha256(path: Path, *_stamp: int) -> str:
    """The hash of a file, computed again only if its stamp changes."""
    return sha256_of(path)

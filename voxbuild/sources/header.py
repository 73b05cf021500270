"""The headers of a source's weights: from local files, else from the Hub without downloading the rest."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.errors import SourceError
from voxbuild.recipes.source import Source
from voxbuild.tensors.adapter import ADAPTER_FILES, Adapter, read_adapter
from voxbuild.tensors.checkpoint import header_length, parse_header
from voxbuild.tensors.source_files import SourceFiles, in_order
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.tensors import PREFIX, Tensor
from voxrun.files.objects import read_json


@dataclass(frozen=True)
class Header:
    """The parts of a source that a plan needs."""

    tensors: tuple[Tensor, ...]
    """Of all weight files: in the order of the files, and in each by name."""
    params: Mapping[str, Any]
    here: bool
    """Whether the weights are local."""
    nbytes: int
    """Size of the weight files."""
    adapter: Adapter | None = None
    """The adapter, if it is local."""

    @property
    def merged(self) -> Collection[str]:
        """The modules that the adapter changes."""
        return self.adapter.updates if self.adapter else ()


def read_source(source: Source, base: Path) -> Header:
    """The headers of a source's weight files, and its configuration, without downloading weights.

    `base` is the folder that local paths are relative to. If the weights are not local, their headers are
    read at the pinned revision, and the configuration is downloaded.
    Raises SourceError, CheckpointError; voxrun's ConfigError for an invalid configuration.
    """
    refuse_missing_folder(source, base)
    if files := local_weights(source, base):
        with SourceFiles(files) as weights:
            tensors, nbytes = tuple(weights.tensors.values()), weights.nbytes
    else:  # first the headers: offline, the client retries for a long time to download the configuration
        found = [_remote_header(source, name) for name in source.weight_files]
        tensors = tuple(tensor for header, _ in found for tensor in in_order(header))
        nbytes = sum(size for _, size in found)
    params = _params(source, base)
    return Header(tensors, params, bool(files), nbytes, _local_adapter(source, base, params))


def refuse_missing_folder(source: Source, base: Path) -> None:
    """Raise SourceError if the source, or its adapter, is in a local folder that does not exist."""
    for origin in (source.origin, source.adapter.origin if source.adapter else None):
        folder = origin.folder(base) if origin else None
        if folder and not folder.is_dir():
            raise SourceError(
                f"{folder}: there is no such folder, in which the source {source.name} is; give its new"
                f" place: source=PATH name={source.name}, or `path:` in recipes/sources/{source.name}.yaml"
            )


def local_weights(source: Source, base: Path) -> dict[str, Path] | None:
    """The paths of the weight files by name; None if one must be downloaded. Raises SourceError."""
    paths = {name: source.origin.cached(base, name) for name in source.weight_files}
    there = {name: path.resolve() for name, path in paths.items() if path}
    return there if len(there) == len(paths) else None


def _local_adapter(source: Source, base: Path, params: Mapping[str, Any]) -> Adapter | None:
    """The adapter, if there is one and it need not be downloaded."""
    if source.adapter is None:
        return None
    paths = [source.adapter.origin.cached(base, name) for name in ADAPTER_FILES]
    there = [path.parent for path in paths if path]
    if len(there) < len(paths):
        return None
    return read_adapter(there[0], ModelConfig.from_dict(params, source.params))


def _params(source: Source, base: Path) -> dict[str, Any]:
    return read_json(source.origin.file(base, source.params).resolve())


def _remote_header(source: Source, name: str) -> tuple[list[Tensor], int]:
    """The tensors of a weight file, and its size."""
    place = f"{source.origin.base_model or source.name}/{name}"
    head, total = read_head(lambda first, count: source.origin.read(name, first, count), place)
    return parse_header(head[PREFIX:], total, place), total


def read_head(read: Callable[[int, int], tuple[bytes, int]], place: str) -> tuple[bytes, int]:
    """The prefix and the JSON header of a weight file, and the file's size.

    `read` is as `Origin.read` of this file, which `place` names in messages. Raises its errors, and
    CheckpointError for what is no such file.
    """
    prefix, total = read(0, PREFIX)
    text, _ = read(PREFIX, header_length(prefix, total, place))
    return prefix + text, total

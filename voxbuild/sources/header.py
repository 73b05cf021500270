"""The header of a source's weights: from the local file, else from the Hub without downloading the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.recipes.source import Source
from voxbuild.tensors.checkpoint import Checkpoint, header_length, parse_header
from voxrun.checkpoint.tensors import PREFIX, Tensor
from voxrun.files.objects import read_json


@dataclass(frozen=True)
class Header:
    """The parts of a source that a plan needs."""

    tensors: tuple[Tensor, ...]
    params: Mapping[str, Any]
    here: Path | None
    """The weights' file; None: it is not downloaded yet."""
    nbytes: int
    """Size of the weights' file."""


def read_source(source: Source, base: Path) -> Header:
    """The header of a source's weights, and its params.json; nothing is hashed, no weights are downloaded.

    `base` is the folder that local paths are relative to. If the weights are not local, their header is read
    at the pinned revision, and params.json is downloaded.
    Raises SourceError, CheckpointError; voxrun's ConfigError for an invalid params.json.
    """
    here = source.origin.cached(base, source.weights)
    if here is None:  # first: offline, the client retries for a long time to download params.json
        tensors, nbytes = _remote_header(source)
    params = read_json(source.origin.file(base, source.params))
    if here is None:
        return Header(tensors, params, None, nbytes)
    with Checkpoint(here) as checkpoint:
        return Header(tuple(checkpoint.tensors.values()), params, here, here.stat().st_size)


def _remote_header(source: Source) -> tuple[tuple[Tensor, ...], int]:
    """The tensors of the weights' file, and its size."""
    place = f"{source.origin.base_model or source.name}/{source.weights}"
    prefix, total = source.origin.read(source.weights, 0, PREFIX)
    text, _ = source.origin.read(source.weights, PREFIX, header_length(prefix, total, place))
    return tuple(parse_header(text, total, place)), total

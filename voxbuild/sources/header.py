"""A source's header before its weights are here: from this disk if they are, else by ranges of bytes."""

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
    """What a plan needs to know of a source."""

    tensors: tuple[Tensor, ...]
    params: Mapping[str, Any]
    here: Path | None
    """The weights' file; None: a build has to download it."""
    nbytes: int
    """Its size."""


def read_source(source: Source, base: Path) -> Header:
    """The header of a source's weights, and its params.json; nothing is hashed, no weights are downloaded.

    `base` is the folder that local paths are relative to. If the weights are not on this disk, their header
    is read at the pinned revision, and params.json is downloaded.
    Raises SourceError, CheckpointError; voxrun's ConfigError for a params.json that is not one.
    """
    here = source.origin.cached(base, source.weights)
    if here is None:  # the header first: the client would try for long to get a small file
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

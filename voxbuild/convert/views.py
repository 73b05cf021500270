"""A view: an artifact's tensors in the files, names and layout of another loader.

Values do not change: rows are permuted, convolutions transposed, tensors renamed. A group of quantized
weights lies within a row, so packed weights, scales and biases are permuted by rows without quantizing again.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.errors import ValidationError
from voxbuild.files import write_json
from voxbuild.recipes.loaders import Loader, sizes_of
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import INDEX, TOKENIZER_FILE, Layout
from voxrun.checkpoint.tensors import DTYPES, Tensor
from voxrun.files.objects import read_json
from voxrun.messages import shown

CONFIG = "config.json"
CHUNK_BYTES = 8 * 2**20
"""Bytes read at a time, to limit memory."""

Array = np.typing.NDArray[Any]
Open = Callable[[Path], Checkpoint]


def write_view(
    loader: Loader,
    artifact: Path,
    folder: Path,
    progress: Callable[[int], None],
    opened: Open = Checkpoint,
) -> dict[str, str]:
    """Write a view without card and manifest into `folder`; return file name -> sha256 of the shards.

    `progress` gets bytes as they are written; `opened` opens a shard of the artifact. Raises CheckpointError
    if a shard is truncated, OSError if the disk is full, and ValidationError for an unknown tensor or module.
    """
    stored = read_json(artifact / CONFIG)
    config = ModelConfig.from_dict(stored, str(artifact / CONFIG))
    hashes: dict[str, str] = {}
    places: dict[str, str] = {}
    for path in Layout(artifact).weight_files:
        with opened(path) as shard:
            hashes[path.name] = _write_shard(loader, shard, config, folder / path.name, progress)
            places |= {_renamed(loader, loader.dialect.native, name): path.name for name in shard.tensors}
    for name, content in small_files(loader, stored).items():
        write_json(folder / name, content)
    write_json(folder / INDEX, {**read_json(artifact / INDEX), "weight_map": dict(sorted(places.items()))})
    shutil.copyfile(artifact / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    return hashes


def small_files(loader: Loader, stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> content of a loader's JSON files, for an artifact with this config.json."""
    sizes = sizes_of(ModelConfig.from_dict(stored))
    config = loader.config_file(sizes).content(sizes)
    if quantization := stored.get("quantization"):
        config["quantization"] = _native_quantization(loader, quantization)
    return {CONFIG: config} | {name: file.content(sizes) for name, file in loader.files.items()}


def _native_quantization(loader: Loader, quantization: Mapping[str, Any]) -> dict[str, Any]:
    """config.json's quantization with the loader's paths of modules; its defaults do not change."""
    return {
        _renamed(loader, loader.dialect.native_module, key) if isinstance(value, dict | bool) else key: value
        for key, value in quantization.items()
    }


def _renamed(loader: Loader, rename: Callable[[str], str], name: str) -> str:
    try:
        return rename(name)
    except KeyError as error:
        raise ValidationError(f"{shown(name)}: not part of a model for {loader.name}") from error


def _write_shard(
    loader: Loader, shard: Checkpoint, config: ModelConfig, path: Path, progress: Callable[[int], None]
) -> str:
    dialect = loader.dialect
    entries = [
        Tensor(_renamed(loader, dialect.native, name), tensor.dtype, _shape(loader, tensor))
        for name, tensor in shard.tensors.items()
    ]
    with closing(CheckpointWriter(path, entries)) as writer:
        for name, tensor in shard.tensors.items():
            for rows in _rows(shard, tensor, dialect.permuted_heads(name, config)):
                data = np.ascontiguousarray(dialect.outward(name, rows, config)).tobytes()
                writer.write(data)
                progress(len(data))
        return writer.finish()


def _shape(loader: Loader, tensor: Tensor) -> tuple[int, ...]:
    """The shape of one of our tensors in the dialect."""
    if not loader.dialect.transposes(tensor.name):
        return tensor.shape
    first, second, third = tensor.shape
    return first, third, second


def _rows(shard: Checkpoint, tensor: Tensor, head_dim: int) -> Iterator[Array]:
    """Chunks of rows [n, ...] of a tensor; whole heads if its heads are permuted."""
    head_bytes = max(1, tensor.row_bytes * max(1, head_dim))
    for count, data in shard.rows(tensor, max(1, CHUNK_BYTES // head_bytes) * head_bytes):
        yield np.frombuffer(data, DTYPES[tensor.dtype]).reshape(count, *tensor.shape[1:])


def check_view(loader: Loader, artifact: Path, folder: Path, progress: Callable[[int], None]) -> int:
    """Check that a view's tensors equal the artifact's, bit for bit; return their number.

    Raises ValidationError with the first difference.
    """
    config = ModelConfig.from_dict(read_json(artifact / CONFIG))
    native = replace(config, quantization=_native_quantization(loader, config.quantization))
    if Layout(folder).config != native:
        raise ValidationError(f"{folder / CONFIG}: not the sizes and the quantization of {artifact}")
    checked = 0
    for path in Layout(artifact).weight_files:
        with Checkpoint(path) as ours, Checkpoint(folder / path.name) as theirs:
            found = {loader.dialect.canonical(name): tensor for name, tensor in theirs.tensors.items()}
            if found.keys() != ours.tensors.keys():
                raise ValidationError(f"{theirs.path}: not the tensors of {path}")
            for name, tensor in ours.tensors.items():
                if not _same(loader, config, (ours, tensor), (theirs, found[name])):
                    raise ValidationError(
                        f"{theirs.path}: {found[name].name} differs from the artifact's {name}"
                    )
                progress(tensor.nbytes)
                checked += 1
    return checked


def _same(
    loader: Loader, config: ModelConfig, ours: tuple[Checkpoint, Tensor], theirs: tuple[Checkpoint, Tensor]
) -> bool:
    name = ours[1].name
    if (theirs[1].dtype, theirs[1].shape) != (ours[1].dtype, _shape(loader, ours[1])):
        return False
    head_dim = loader.dialect.permuted_heads(name, config)
    pairs = zip(_rows(*ours, head_dim), _rows(*theirs, head_dim), strict=True)
    return all(np.array_equal(mine, loader.dialect.inward(name, other, config)) for mine, other in pairs)

"""A view: an artifact's very tensors in the files, names and layout that another loader reads.

Nothing is computed: rows are permuted, convolutions transposed, names exchanged. Groups of quantized weights
lie within a row, so packed weights move as they are, and their scales and biases with them.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
"""Bytes read at a time: what bounds memory."""

Array = np.typing.NDArray[Any]
Open = Callable[[Path], Checkpoint]


def write_view(
    loader: Loader,
    artifact: Path,
    folder: Path,
    progress: Callable[[int], None],
    opened: Open = Checkpoint,
) -> dict[str, str]:
    """Write all of a view but card and manifest into `folder`; return file name -> sha256 of the shards.

    `progress` is told of bytes written; `opened` opens a shard of the artifact.
    Raises CheckpointError if a shard ends too early, OSError if the disk does, and ValidationError for a
    tensor or a module that is none of the model's.
    """
    stored = read_json(artifact / CONFIG)
    config = ModelConfig.from_dict(stored, str(artifact / CONFIG))
    hashes: dict[str, str] = {}
    places: dict[str, str] = {}
    for path in Layout(artifact).weight_files:
        with opened(path) as shard:
            hashes[path.name] = _write_shard(loader, shard, config, folder / path.name, progress)
            places |= {_native(loader, name): path.name for name in shard.tensors}
    for name, content in small_files(loader, stored).items():
        write_json(folder / name, content)
    write_json(folder / INDEX, {**read_json(artifact / INDEX), "weight_map": dict(sorted(places.items()))})
    shutil.copyfile(artifact / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    return hashes


def small_files(loader: Loader, stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> content of the JSON files a loader reads, for an artifact with this config.json."""
    sizes = sizes_of(ModelConfig.from_dict(stored))
    config = loader.config_file(sizes).content(sizes)
    if quantization := stored.get("quantization"):
        config["quantization"] = {_native_key(loader, k, v): v for k, v in quantization.items()}
    return {CONFIG: config} | {name: file.content(sizes) for name, file in loader.files.items()}


def _native_key(loader: Loader, key: str, value: Any) -> str:
    """The path of a module with settings of its own; group_size, bits and mode are what they are."""
    if not isinstance(value, dict | bool):
        return key
    with _known(loader, key):
        return loader.dialect.native_module(key)


def _native(loader: Loader, name: str) -> str:
    with _known(loader, name):
        return loader.dialect.native(name)


@contextmanager
def _known(loader: Loader, name: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise ValidationError(f"{shown(name)}: no part of a model that {loader.name} knows") from error


def _write_shard(
    loader: Loader, shard: Checkpoint, config: ModelConfig, path: Path, progress: Callable[[int], None]
) -> str:
    outward = loader.dialect.outward
    entries = [
        Tensor(_native(loader, name), tensor.dtype, _shape(loader, tensor))
        for name, tensor in shard.tensors.items()
    ]
    writer = CheckpointWriter(path, entries)
    try:
        for name, tensor in shard.tensors.items():
            for rows in _rows(shard, tensor, loader.dialect.permuted_heads(name, config)):
                data = np.ascontiguousarray(outward(name, rows, config)).tobytes()
                writer.write(data)
                progress(len(data))
        return writer.finish()
    finally:
        writer.close()


def _shape(loader: Loader, tensor: Tensor) -> tuple[int, ...]:
    """How the dialect stores one of our tensors; permuting rows changes no shape."""
    if not loader.dialect.transposes(tensor.name):
        return tensor.shape
    first, second, third = tensor.shape
    return first, third, second


def _rows(shard: Checkpoint, tensor: Tensor, head_dim: int) -> Iterator[Array]:
    """Chunks of rows [n, ...] of a tensor, whole heads where heads are permuted."""
    head_bytes = max(1, tensor.row_bytes * max(1, head_dim))
    for count, data in shard.rows(tensor, max(1, CHUNK_BYTES // head_bytes) * head_bytes):
        yield np.frombuffer(data, DTYPES[tensor.dtype]).reshape(count, *tensor.shape[1:])


def check_view(loader: Loader, artifact: Path, folder: Path, progress: Callable[[int], None]) -> int:
    """Read a view back: mapped inward, its tensors are the artifact's, bit for bit. Return how many.

    Raises ValidationError naming the first that is not.
    """
    config = ModelConfig.from_dict(read_json(artifact / CONFIG))
    if Layout(folder).config != _renamed(loader, config):
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


def _renamed(loader: Loader, config: ModelConfig) -> ModelConfig:
    quantization = {_native_key(loader, k, v): v for k, v in config.quantization.items()}
    return replace(config, quantization=quantization)


def _same(
    loader: Loader, config: ModelConfig, ours: tuple[Checkpoint, Tensor], theirs: tuple[Checkpoint, Tensor]
) -> bool:
    name = ours[1].name
    if (theirs[1].dtype, theirs[1].shape) != (ours[1].dtype, _shape(loader, ours[1])):
        return False
    head_dim = loader.dialect.permuted_heads(name, config)
    pairs = zip(_rows(*ours, head_dim), _rows(*theirs, head_dim), strict=True)
    return all(np.array_equal(mine, loader.dialect.inward(name, other, config)) for mine, other in pairs)

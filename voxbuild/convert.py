"""One read and one write: each tensor by chunks of rows, from the source straight into its shard."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from voxrun.device import mx

from .checkpoint import Checkpoint, CheckpointWriter
from .errors import ConvertError
from .modes import ACTIVATION, PLAIN, Quantization
from .plan import Plan, TensorPlan
from .quantize import cast, is_finite, quantize_rows, to_bytes, to_mlx, transposed
from .search import Moments, search_rows

NO_MOMENTS: Moments = {}

CHUNK_BYTES = 8 * 2**20
"""Bytes of source read at a time: what bounds memory."""
RESERVE = 16 * 2**20
"""Free space asked for beside the weights, for the small files."""


def check_space(folder: Path, plan: Plan) -> None:
    """Raises ConvertError if the plan's weights do not fit the disk that holds `folder`."""
    free, needed = shutil.disk_usage(folder).free, plan.nbytes + RESERVE
    if free < needed:
        raise ConvertError(
            f"{folder}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free; "
            "make room and run it again"
        )


def convert(
    plan: Plan,
    checkpoint: Checkpoint,
    folder: Path,
    progress: Callable[[int], None],
    moments: Moments = NO_MOMENTS,
) -> dict[str, str]:
    """Write all shards into `folder`; return file name -> sha256. `progress` is told of source bytes done.

    `moments` are those of the modules (by path) whose search is weighted with them.
    Raises ConvertError for weights that are not finite or leave the recipe's dtype, CheckpointError if the
    source ends too early, OSError if the disk does.
    """
    return {
        name: _write_shard(folder / name, tensors, checkpoint, progress, moments)
        for name, tensors in plan.shards.items()
    }


def _write_shard(
    path: Path,
    tensors: list[TensorPlan],
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
    moments: Moments,
) -> str:
    writer = CheckpointWriter(path, [output for tensor in tensors for output in tensor.outputs])
    try:
        for tensor in tensors:
            _write_tensor(writer, tensor, checkpoint, progress, moments)
        return writer.finish()
    finally:
        writer.close()


def _write_tensor(
    writer: CheckpointWriter,
    tensor: TensorPlan,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
    moments: Moments,
) -> None:
    """The packed weights go out as they come; scales and biases, a fraction of them, after the last row."""
    behind: dict[str, list[bytes]] = {}
    for rows in _rows(tensor, checkpoint, progress):
        if tensor.quantization is None:
            writer.write(to_bytes(rows))
            continue
        for leaf, part in _quantized(rows, tensor, tensor.quantization, moments).items():
            if leaf == "weight":
                writer.write(to_bytes(part))
            else:
                behind.setdefault(leaf, []).append(to_bytes(part))
    for parts in behind.values():
        for data in parts:
            writer.write(data)


def _quantized(
    rows: mx.array, tensor: TensorPlan, how: Quantization, moments: Moments
) -> Mapping[str, mx.array]:
    if how.search == PLAIN:
        return quantize_rows(rows, how)
    stored = np.array(rows.view(mx.uint16) if tensor.dtype == "BF16" else rows)
    weights = moments[tensor.module] if how.search == ACTIVATION else None
    return {leaf: mx.array(part) for leaf, part in search_rows(stored, tensor.dtype, how, weights).items()}


def _rows(tensor: TensorPlan, checkpoint: Checkpoint, progress: Callable[[int], None]) -> Iterator[mx.array]:
    """Chunks of the tensor, transposed and cast."""
    stored = checkpoint.tensors[tensor.source]
    for count, data in checkpoint.rows(stored, CHUNK_BYTES):
        rows = to_mlx(data, stored.dtype, (count, *stored.shape[1:]))
        rows = cast(transposed(rows) if tensor.transpose else rows, tensor.dtype)
        if not is_finite(rows):
            raise ConvertError(
                f"{tensor.source}: a weight is not finite as {tensor.dtype}; the source is damaged,"
                " or its values do not fit the recipe's dtype"
            )
        yield rows
        progress(len(data))

"""One read and one write: each tensor by chunks of rows, from the source straight into its shard."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from .checkpoint import Checkpoint, CheckpointWriter
from .errors import ConvertError
from .plan import Plan, TensorPlan
from .quantize import Rows, cast, is_finite, quantize_rows, to_rows, transposed

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
    plan: Plan, checkpoint: Checkpoint, folder: Path, progress: Callable[[int], None]
) -> dict[str, str]:
    """Write all shards into `folder`; return file name -> sha256. `progress` is told of source bytes done.

    Raises ConvertError for weights that are not finite or leave the recipe's dtype, CheckpointError if the
    source ends too early, OSError if the disk does.
    """
    return {
        name: _write_shard(folder / name, tensors, checkpoint, progress)
        for name, tensors in plan.shards.items()
    }


def _write_shard(
    path: Path,
    tensors: list[TensorPlan],
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
) -> str:
    writer = CheckpointWriter(path, [output for tensor in tensors for output in tensor.outputs])
    try:
        for tensor in tensors:
            _write_tensor(writer, tensor, checkpoint, progress)
        return writer.finish()
    finally:
        writer.close()


def _write_tensor(
    writer: CheckpointWriter,
    tensor: TensorPlan,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
) -> None:
    """The packed weights go out as they come; scales and biases, a fraction of them, after the last row."""
    behind: dict[str, list[bytes]] = {}
    for rows in _rows(tensor, checkpoint, progress):
        if tensor.quantization is None:
            writer.write(rows.tobytes())
            continue
        for leaf, part in quantize_rows(rows, tensor.dtype, tensor.quantization).items():
            if leaf == "weight":
                writer.write(part.tobytes())
            else:
                behind.setdefault(leaf, []).append(part.tobytes())
    for parts in behind.values():
        for data in parts:
            writer.write(data)


def _rows(tensor: TensorPlan, checkpoint: Checkpoint, progress: Callable[[int], None]) -> Iterator[Rows]:
    """Chunks of the tensor, transposed and cast."""
    stored = checkpoint.tensors[tensor.source]
    for count, data in checkpoint.rows(stored, CHUNK_BYTES):
        rows = to_rows(data, stored.dtype, (count, *stored.shape[1:]))
        rows = cast(transposed(rows) if tensor.transpose else rows, stored.dtype, tensor.dtype)
        if not is_finite(rows, tensor.dtype):
            raise ConvertError(
                f"{tensor.source}: a weight is not finite as {tensor.dtype}; the source is damaged,"
                " or its values do not fit the recipe's dtype"
            )
        yield rows
        progress(len(data))

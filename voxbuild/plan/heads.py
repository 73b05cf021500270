"""A separate output head: this architecture ties the head to the embedding (contract, sizes)."""

from collections.abc import Iterable
from typing import Any

from voxbuild.errors import PlanError
from voxbuild.tensors.naming import naming_of
from voxbuild.tensors.source_files import SourceFiles
from voxrun.checkpoint.tensors import Tensor

from .matching import EMBEDDING, FLOATS

CHUNK_BYTES = 8 * 2**20


def tied_heads(header: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(a separate output head, the embedding), for each head in a checkpoint."""
    tensors = list(header)
    naming = naming_of(tensor.name for tensor in tensors)
    embedding = next((t for t in tensors if naming.canonical(t.name) == EMBEDDING), None)
    return [(tensor, embedding) for tensor in tensors if embedding and naming.is_head(tensor.name)]


def check_heads(weights: SourceFiles) -> list[str]:
    """The names of heads with the embedding's values, which are left out.

    Raises PlanError for a head with others: leaving it out would change the model.
    """
    heads = tied_heads(weights.tensors.values())
    for head, embedding in heads:
        if head.shape != embedding.shape or head.dtype not in FLOATS or not _equal(weights, head, embedding):
            raise PlanError(
                f"{head.name} differs from the embedding {embedding.name}, but this architecture has one"
                " matrix for both; train with tied weights, or save the model without an unused head"
            )
    return [head.name for head, _ in heads]


def _equal(weights: SourceFiles, one: Tensor, other: Tensor) -> bool:
    """Whether two matrices of one shape have the same values, in float32 if their dtypes differ."""
    step = max(1, CHUNK_BYTES // max(one.row_bytes, other.row_bytes, 1))
    chunks = (weights.rows(tensor, step * tensor.row_bytes) for tensor in (one, other))
    pairs = zip(*chunks, strict=True)
    if one.dtype == other.dtype:
        return all(a == b for (_, a), (_, b) in pairs)
    return all((_single(one, n, a) == _single(other, n, b)).all() for (n, a), (_, b) in pairs)


def _single(tensor: Tensor, count: int, data: memoryview) -> Any:
    """Rows as float32."""
    from voxbuild.tensors.quantize import cast, to_rows  # slow: it compiles loops

    return cast(to_rows(data, tensor.dtype, (count, *tensor.shape[1:])), tensor.dtype, "F32")

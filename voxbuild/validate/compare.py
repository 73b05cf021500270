"""The differences between two artifacts, tensor by tensor, and a summary of them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxbuild.console import markdown, some_of
from voxbuild.tensors.module_kinds import by_kind

from .weights import Artifact, Floats, Weight

CHUNK_VALUES = 2 * 2**20
"""Values compared at a time, to limit memory; each takes about 50 bytes."""
SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """The comparison of a tensor that is in both artifacts."""

    name: str
    shape: tuple[int, ...]
    """Its shape in the first."""
    formats: tuple[str, str]
    """dtype or quantization in both, for people; with the shapes if they differ."""
    bytes_differ: int | None
    """Number of stored bytes that differ; None if the formats differ."""
    values_differ: int | None
    """Number of values that differ; None, like the errors, if the shapes differ."""
    max_error: float | None = None
    rms_error: float | None = None
    """Greatest and root-mean-square difference of dequantized values; infinite if a value is not finite."""

    @property
    def equal(self) -> bool:
        """Whether format and bytes are the same."""
        return self.bytes_differ == 0


@dataclass(frozen=True)
class Comparison:
    """The comparison of two artifacts."""

    names: tuple[str, str]
    only: tuple[list[str], list[str]]
    """Tensors that are only in the first, and only in the second."""
    config: dict[str, tuple[Any, Any]]
    """Keys of config.json that differ, except `quantization`, with both values; None: missing."""
    tensors: list[Difference]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (any(self.only) or self.config) and all(tensor.equal for tensor in self.tensors)

    @property
    def differing(self) -> list[Difference]:
        """The tensors that differ, those with the greatest RMS error first."""
        found = [tensor for tensor in self.tensors if not tensor.equal]
        return sorted(found, key=lambda t: -math.inf if t.rms_error is None else -t.rms_error)

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON.

        a, b             names of the artifacts
        equal            whether nothing differs
        only_in_a, only_in_b  names of tensors
        config           key of config.json -> [value in a, value in b], if they differ
        kinds            a row for each kind of module, see `summary`
        tensors          a row for each tensor in both: the fields of Difference, and equal;
                         an error that is not finite is null, as is a figure that cannot be computed
        """
        return {
            "a": self.names[0],
            "b": self.names[1],
            "equal": self.equal,
            "only_in_a": self.only[0],
            "only_in_b": self.only[1],
            "config": self.config,
            "kinds": [_finite(row) for row in summary(self.tensors)],
            "tensors": [_finite(asdict(t) | {"equal": t.equal}) for t in self.tensors],
        }


def compare(a: Artifact, b: Artifact, names: tuple[str, str], progress: Callable[[int], None]) -> Comparison:
    """Compare all tensors by rows. `progress` gets stored bytes of both as they are done.

    Raises CheckpointError if a file is truncated.
    """
    return Comparison(
        names,
        ([n for n in a.weights if n not in b.weights], [n for n in b.weights if n not in a.weights]),
        {
            key: (a.config.get(key), b.config.get(key))
            for key in sorted(a.config.keys() | b.config.keys())
            if a.config.get(key) != b.config.get(key)
        },
        [_difference(a, b, name, progress) for name in a.weights if name in b.weights],
    )


def stored_bytes(a: Artifact, b: Artifact) -> int:
    """Number of bytes that `compare` reads."""
    return sum(a.weights[n].nbytes + b.weights[n].nbytes for n in a.weights.keys() & b.weights.keys())


def _difference(a: Artifact, b: Artifact, name: str, progress: Callable[[int], None]) -> Difference:
    one, other = a.weights[name], b.weights[name]
    formats = _format(one), _format(other)
    if one.shape != other.shape:
        progress(one.nbytes + other.nbytes)
        first, second = ("x".join(map(str, weight.shape)) for weight in (one, other))
        shaped = f"{first} {formats[0]}", f"{second} {formats[1]}"
        return Difference(name, one.shape, shaped, None, None)
    errors = _Errors()
    alike = (one.dtype, one.quantization) == (other.dtype, other.quantization)
    step = max(1, CHUNK_VALUES * one.rows // max(1, math.prod(one.shape)))
    for mine, theirs in zip(a.chunks(one, step), b.chunks(other, step), strict=True):
        if not alike or mine != theirs:
            errors.add(one.values(mine), other.values(theirs))
            errors.bytes += sum(map(_unequal_bytes, mine, theirs)) if alike else 0
        progress(sum(map(len, mine)) + sum(map(len, theirs)))
    rms = math.sqrt(errors.squares / max(1, math.prod(one.shape)))
    return Difference(
        name, one.shape, formats, errors.bytes if alike else None, errors.values, errors.largest, rms
    )


@dataclass
class _Errors:
    """Sums and maximum over the chunks of a tensor."""

    bytes: int = 0
    values: int = 0
    largest: float = 0.0
    squares: float = 0.0

    def add(self, mine: Floats, theirs: Floats) -> None:
        with np.errstate(invalid="ignore"):  # the difference of two infinities
            error = np.abs(mine - theirs)
        largest = float(error.max(initial=0.0))
        if not math.isfinite(largest):
            error[~np.isfinite(error)] = np.inf
            error[mine == theirs] = 0
            largest = float(error.max(initial=0.0))
        self.values += int(np.count_nonzero(error))
        self.largest = max(self.largest, largest)
        precise = error.astype(np.float64)
        self.squares += float(np.dot(precise, precise))


def _unequal_bytes(mine: bytes, theirs: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(mine, np.uint8) != np.frombuffer(theirs, np.uint8)))


def _format(weight: Weight) -> str:
    return weight.quantization.in_words if weight.quantization else weight.dtype


def summary(tensors: Iterable[Difference]) -> list[dict[str, Any]]:
    """A row for each kind of module.

    kind, tensors and differing (numbers), bytes_differ and values_differ (sums; null: not comparable),
    max_error, rms_error (over all values of the kind; null: the shapes differ)
    """
    rows = []
    for kind, members in by_kind(tensors, lambda t: t.name).items():
        sized = [t for t in members if t.rms_error is not None]
        values = sum(math.prod(t.shape) for t in sized)
        squares = sum((t.rms_error or 0.0) ** 2 * math.prod(t.shape) for t in sized)
        stored = [t.bytes_differ for t in members if t.bytes_differ is not None]
        rows.append(
            {
                "kind": kind,
                "tensors": len(members),
                "differing": sum(not t.equal for t in members),
                "bytes_differ": sum(stored) if stored else None,
                "values_differ": sum(t.values_differ or 0 for t in sized) if sized else None,
                "max_error": max((t.max_error or 0.0 for t in sized), default=None),
                "rms_error": math.sqrt(squares / values) if values else None,
            }
        )
    return rows


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


NUMBERS = ("bytes_differ", "values_differ", "max_error", "rms_error")


def as_text(comparison: Comparison) -> str:
    """The differences, for people: tensors in only one, sums by kind of module, the worst tensors."""
    a, b = comparison.names
    if comparison.equal:
        return f"{a} and {b} are equal: {len(comparison.tensors)} tensors"
    blocks = [
        *(f"only in {n}: {some_of(ts, SHOWN)}" for n, ts in zip((a, b), comparison.only, strict=True) if ts),
        *(f"config.json: {key} is {x!r} in {a}, {y!r} in {b}" for key, (x, y) in comparison.config.items()),
        _kinds_table(comparison),
        _worst_table(comparison.differing),
    ]
    return "\n\n".join(block for block in blocks if block)


def _kinds_table(comparison: Comparison) -> str:
    rows = [
        (row["kind"], f"{row['differing']} of {row['tensors']}", *(_number(row[key]) for key in NUMBERS))
        for row in summary(comparison.tensors)
    ]
    header = ["modules", "tensors differ", "bytes differ", "values differ", "max error", "RMS error"]
    return markdown(rows, header)


def _worst_table(differing: list[Difference]) -> str:
    rows = []
    for tensor in differing[:SHOWN]:
        mine, theirs = tensor.formats
        formats = mine if mine == theirs else f"{mine} -> {theirs}"
        rows.append((tensor.name, formats, *(_number(getattr(tensor, key)) for key in NUMBERS)))
    if not rows:
        return ""
    header = ["worst", "stored as", "bytes differ", "values differ", "max error", "RMS error"]
    left = len(differing) - SHOWN
    return markdown(rows, header) + (f"\n{left} more differ; --format json lists all" if left > 0 else "")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"

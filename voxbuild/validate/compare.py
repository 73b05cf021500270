"""How two artifacts differ, tensor by tensor, and a summary of it. Pure, but for reading their rows."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxbuild.console import markdown
from voxbuild.tensors.module_kinds import by_kind

from .weights import Artifact, Floats, Weight

CHUNK_VALUES = 2 * 2**20
"""Values compared at a time: what bounds memory, at some 50 bytes each."""
SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """A tensor that is in both artifacts."""

    name: str
    shape: tuple[int, ...]
    """In the first."""
    formats: tuple[str, str]
    """dtype or quantization in words, in both; with the shapes where these differ."""
    bytes_differ: int | None
    """Stored bytes that differ; None: stored in different ways."""
    values_differ: int | None
    """None, like the errors: of different shapes."""
    max_error: float | None = None
    rms_error: float | None = None
    """Of the dequantized values: absolute, and root of the mean square. Infinite if one is not finite."""

    @property
    def equal(self) -> bool:
        """The same bytes, stored in the same way."""
        return self.bytes_differ == 0


@dataclass(frozen=True)
class Comparison:
    """Two artifacts."""

    names: tuple[str, str]
    only: tuple[list[str], list[str]]
    """Tensors that are in the first alone, and in the second alone."""
    config: dict[str, tuple[Any, Any]]
    """Keys of config.json, `quantization` apart, with their values in both; None: not there."""
    tensors: list[Difference]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (any(self.only) or self.config) and all(tensor.equal for tensor in self.tensors)

    @property
    def differing(self) -> list[Difference]:
        """The tensors that differ, the worst first."""
        found = [tensor for tensor in self.tensors if not tensor.equal]
        return sorted(found, key=lambda t: -math.inf if t.rms_error is None else -t.rms_error)

    def as_json(self) -> dict[str, Any]:
        """All of it.

        a, b             what was compared
        equal            whether nothing differs
        only_in_a, only_in_b  names of tensors
        config           key of config.json -> [value in a, value in b], where they differ
        kinds            a row for each kind of module, see `summary`
        tensors          a row for each tensor in both: name, kind's sums apart the fields of Difference;
                         an error that is not finite is null, and so is what could not be compared
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
    """Compare all tensors by rows. `progress` is told of stored bytes done, of both.

    Raises CheckpointError if a file ends too early.
    """
    both = [name for name in a.weights if name in b.weights]
    return Comparison(
        names,
        ([n for n in a.weights if n not in b.weights], [n for n in b.weights if n not in a.weights]),
        {
            key: (a.config.get(key), b.config.get(key))
            for key in sorted(a.config.keys() | b.config.keys())
            if a.config.get(key) != b.config.get(key)
        },
        [_difference(a, b, name, progress) for name in both],
    )


def stored_bytes(a: Artifact, b: Artifact) -> int:
    """How many bytes `compare` reads."""
    return sum(a.weights[n].nbytes + b.weights[n].nbytes for n in a.weights.keys() & b.weights.keys())


def _difference(a: Artifact, b: Artifact, name: str, progress: Callable[[int], None]) -> Difference:
    one, other = a.weights[name], b.weights[name]
    formats = (_words(one), _words(other))
    if one.shape != other.shape:
        progress(one.nbytes + other.nbytes)
        shaped = (f"{_shape(one)} {formats[0]}", f"{_shape(other)} {formats[1]}")
        return Difference(name, one.shape, shaped, None, None)
    errors = _Errors()
    alike = (one.dtype, one.quantization) == (other.dtype, other.quantization)
    step = max(1, CHUNK_VALUES * one.rows // max(1, math.prod(one.shape)))
    for mine, theirs in zip(a.chunks(one, step), b.chunks(other, step), strict=True):
        if not alike or mine != theirs:
            errors.add(one.values(mine), other.values(theirs))
        if alike:
            errors.bytes += sum(map(_unequal_bytes, mine, theirs))
        progress(sum(map(len, mine)) + sum(map(len, theirs)))
    rms = math.sqrt(errors.squares / max(1, math.prod(one.shape)))
    return Difference(
        name, one.shape, formats, errors.bytes if alike else None, errors.values, errors.largest, rms
    )


@dataclass
class _Errors:
    """Sums over the chunks of a tensor."""

    bytes: int = 0
    values: int = 0
    largest: float = 0.0
    squares: float = 0.0

    def add(self, mine: Floats, theirs: Floats) -> None:
        with np.errstate(invalid="ignore"):  # of two infinities
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
    if mine == theirs:
        return 0
    return int(np.count_nonzero(np.frombuffer(mine, np.uint8) != np.frombuffer(theirs, np.uint8)))


def _words(weight: Weight) -> str:
    return weight.quantization.in_words if weight.quantization else weight.dtype


def _shape(weight: Weight) -> str:
    return "x".join(map(str, weight.shape))


def summary(tensors: Iterable[Difference]) -> list[dict[str, Any]]:
    """A row for each kind of module.

    kind, tensors and differing (how many), bytes_differ and values_differ (sums; null: nothing comparable),
    max_error, rms_error (over all values of the kind; null: of other shapes)
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
    """What differs, for people: what is in one alone, sums by kind of module, the worst tensors."""
    a, b = comparison.names
    if comparison.equal:
        return f"{a} and {b} are equal: {len(comparison.tensors)} tensors"
    blocks = [
        *(_only(name, names) for name, names in zip((a, b), comparison.only, strict=True) if names),
        *(f"config.json: {key} is {x!r} in {a}, {y!r} in {b}" for key, (x, y) in comparison.config.items()),
        _kinds_table(comparison),
        _worst_table(comparison.differing),
    ]
    return "\n\n".join(block for block in blocks if block)


def _only(artifact: str, names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"only in {artifact}: {', '.join(names[:SHOWN])}{more}"


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
    more = (
        f"\n{len(differing) - SHOWN} more differ; --format json tells all" if len(differing) > SHOWN else ""
    )
    return markdown(rows, header) + more


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"

"""How large passes are, by device, and how far two passes may be apart: a table, or a user's measurement.

The sizes change the speed, not the tokens (`voxrun.stream.generator`). `voxrun bench` measures these values;
its file, or another row of the table, is chosen with the environment variable VOXRUN_TUNING.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from voxrun.device import device_kind
from voxrun.errors import VoxrunError
from voxrun.files import strict
from voxrun.files.paths import StrictError
from voxrun.values import number, whole

VARIABLE = "VOXRUN_TUNING"
"""Environment variable: a device kind of TUNINGS, or the path of a JSON file with some of Tuning's fields."""
MOST = 4096
"""Rows and positions in a pass, at most: more would need too much memory."""


def _rounding() -> Mapping[str, float]:
    """Some ten times what was seen on a CPU."""
    return {"float32": 1e-4, "float16": 4e-3, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Tuning:
    """What a device computes fastest."""

    look_ahead: tuple[int, ...]
    """Positions in a pass of one stream: the first where text surely follows, so that nothing is guessed; the
    second after other text; then one further after each pass whose guesses were all right."""
    pass_rows: int
    """Rows in a pass in which guesses of several streams are made, at most."""
    prompt_rows: int = 256
    """Rows of prompts in a pass, at most, unless a single one is longer."""
    block_positions: int = 64
    """Positions of a stream that are encoded in a pass, at most: bounds memory for any chunk, the scores that
    attention computes only to mask them, and how long a stream waits for the others."""
    files_positions: int = 256
    """Positions of all streams in such a pass while no session is live: small passes cost more. Beside a live
    session, which waits for the pass to end, `block_positions` of all streams together."""
    compiled: bool = False
    """Whether decoder passes of a few rows of one stream are compiled, for MLX's own products. The host then
    builds them in half the time, but that is all we measured: on GPUs another runtime lost 42 % by compiling
    whole graphs (omlx#3353), and one gained 18 % (omlx#3334)."""
    rounding: Mapping[str, float] = field(default_factory=_rounding)
    """Share of a logit by which it may differ between two passes, by the type of activations; below 10 the
    share of 10."""
    source: str = ""
    """Where the values are from."""


TUNINGS = {
    "M1 and M2": Tuning(
        (1, 16, 32),
        pass_rows=32,
        source="not measured by us: the matrix kernel takes 32 rows, 13 to 32 cost alike (mlx#4265)",
    ),
    "M3 and later": Tuning(
        (1, 5, 10, 32),
        pass_rows=32,
        source="not measured by us: few rows go in tiles of 5, each reading the weights again (mlx#4265)",
    ),
    "CUDA": Tuning(
        (1, 8, 16, 32),
        pass_rows=64,
        source="not measured by us: fewer than 8 rows run row by row",
    ),
    "CPU": Tuning(
        (1, 4, 8, 16),
        pass_rows=64,
        source="measured on tiny's recordings: of 2 to 6 rows after text 4 are the fastest",
    ),
}
"""By `voxrun.device.device_kind`."""


def tuning() -> Tuning:
    """The device's, or the one that VOXRUN_TUNING names. Raises VoxrunError if there is no such one."""
    return _chosen(os.environ.get(VARIABLE, ""), device_kind())


@cache
def _chosen(choice: str, kind: str) -> Tuning:
    if choice in TUNINGS or not choice:
        return TUNINGS[choice or kind]
    try:
        return from_json(strict.load(Path(choice)), TUNINGS[kind])
    except (OSError, StrictError, VoxrunError) as error:
        what, names = getattr(error, "strerror", None) or error, ", ".join(TUNINGS)
        raise VoxrunError(f"{VARIABLE}={choice}: {what}; it must name {names}, or a JSON file") from error


def from_json(values: Any, default: Tuning) -> Tuning:
    """The values of a JSON object, the others as in `default`. Raises VoxrunError for an impossible one."""
    if not isinstance(values, dict):
        raise VoxrunError("it is not an object")
    names = [each.name for each in fields(Tuning)]
    if unknown := values.keys() - names:
        raise VoxrunError(f"{min(unknown)} is no value of it; these are: {', '.join(names)}")
    given = {name: _CHECKS[name](name, value) for name, value in values.items()}
    return Tuning(**{name: getattr(default, name) for name in names} | given)


def _size(name: str, value: Any) -> int:
    size = whole(name, value)
    if not 1 <= size <= MOST:
        raise VoxrunError(f"{name} must be from 1 to {MOST}, not {size}")
    return size


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    sizes = tuple(_size(name, each) for each in value) if isinstance(value, list | tuple) else ()
    if sizes[:1] != (1,) or any(a >= b for a, b in pairwise(sizes)):
        raise VoxrunError(f"{name} must be a list of growing sizes that begins with 1")
    return sizes


def _shares(name: str, value: Any) -> Mapping[str, float]:
    shares = {dtype: number(name, share) for dtype, share in value.items()} if isinstance(value, dict) else {}
    if shares.keys() != _rounding().keys() or not all(0 <= share < 1 for share in shares.values()):
        raise VoxrunError(f"{name} must have a share from 0 to below 1 for each of {', '.join(_rounding())}")
    return shares


def _choice(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise VoxrunError(f"{name} must be true or false")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise VoxrunError(f"{name} must be a text")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "look_ahead": _sizes,
    "pass_rows": _size,
    "prompt_rows": _size,
    "block_positions": _size,
    "files_positions": _size,
    "compiled": _choice,
    "rounding": _shares,
    "source": _text,
}

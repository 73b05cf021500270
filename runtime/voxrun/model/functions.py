"""The network's functions on arrays of both kinds: MLX's, and NumPy's on a CPU whose kernels are ours.

They answer in the kind that they are given: each evaluation by MLX costs as much as a small product.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx, nn, own_kernels

from .cpu import functions as cpu

Rows = mx.array | FloatArray
"""Activations [1, n, dim], of one stream or of several, one behind the other."""


def joined(parts: Sequence[Any], axis: int = 1) -> Any:
    """Arrays of one kind, one behind the other; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    return (
        np.concatenate(parts, axis) if isinstance(parts[0], np.ndarray) else mx.concatenate(list(parts), axis)
    )


def gated(gate: Any, up: Any) -> Any:
    """silu(gate) * up."""
    return cpu.gated(gate, up) if isinstance(gate, np.ndarray) else _gated(gate, up)


def gelu(x: Any) -> Any:
    """The exact one, with erf."""
    if isinstance(x, np.ndarray):
        return cpu.gelu(x)
    return _gelu(x) if own_kernels() else nn.gelu(x)


def _gelu(x: mx.array) -> mx.array:
    """The same as `nn.gelu`, which on a CPU is compiled by g++ if there is one.

    That takes seconds, once a machine, and a Ctrl-C has no effect while MLX looks for g++ by system(3).
    """
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


@partial(mx.compile, shapeless=True)
def _gated(gate: mx.array, up: mx.array) -> mx.array:
    return nn.silu(gate) * up

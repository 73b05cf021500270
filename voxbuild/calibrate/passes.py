"""All recordings through one layer, a block of rows at a time, and the sums over its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxrun.mlx_thread import computed

from .network import Network
from .parts import Part, Watch
from .sums import Array, Products


@dataclass
class Stream:
    """The activations of all recordings between two layers, in one of the two networks."""

    rows: list[Array]
    """[n, dim] of each recording."""
    layers: dict[str, Any] = field(default_factory=dict)
    """Modules that compute in the place of the current layer's own."""
    table: Array | None = None
    """The embeddings of the tokens that occur [tokens, dim]; None: the network's own."""


class Pass:
    """A layer that one or two streams go through: without, and with quantized layers."""

    def __init__(
        self, network: Network, part: Part, streams: Sequence[Stream], inputs: tuple[str, ...], *, stop: bool
    ) -> None:
        """`inputs` are watched; with `stop` nothing is computed after the last of them."""
        self._network, self._part, self._streams = network, part, streams
        self._inputs, self._stop = inputs, stop
        self.moments = {path: Products() for path in inputs}
        """Of the last stream's inputs."""
        self.cross = {path: Products() for path in inputs} if len(streams) > 1 else {}
        """Of the last stream's inputs with the first's."""
        self._shared: list[Any] = computed(self._watched, [part.once] * len(streams))
        self.is_complete = stop and all(products.rows for products in self.moments.values())
        """Whether the inputs do not depend on the recordings."""

    def hear(self, number: int) -> list[Array]:
        """Take a recording; each stream's outputs [n, dim], of no meaning with `stop`."""
        rows, step = [stream.rows[number] for stream in self._streams], self._part.block
        kept = [self._part.begin() for _ in self._streams]
        blocks = [
            computed(self._block, [of_stream[first : first + step] for of_stream in rows], kept)
            for first in range(0, len(rows[0]), step)
        ]
        return [np.concatenate(outputs) for outputs in zip(*blocks, strict=True)]

    def _block(self, rows: list[Array], kept: list[Any]) -> list[Array]:
        arrays = [self._network.array(x) for x in rows]
        outputs = self._watched(
            [
                lambda x=x, shared=shared, own=own: self._part.compute(x, shared, own)
                for x, shared, own in zip(arrays, self._shared, kept, strict=True)
            ]
        )
        return [np.array(output)[0] for output in outputs if output is not None]

    def _watched(self, functions: Sequence[Any]) -> list[Any]:
        """The result of each stream's function, None if it was stopped; the inputs that it used are added."""
        results, seen = [], []
        for stream, function in zip(self._streams, functions, strict=True):
            watch = Watch(self._inputs, self._stop)
            with self._part.replaced(stream.layers):
                results.append(self._part.watched(function, watch))
            seen.append(watch.seen)
        for path, x in seen[-1].items():
            self.moments[path].add(x, x)
            if self.cross:
                self.cross[path].add(x, seen[0][path])
        return results

"""From the rows before a layer to the logits: what changes behind a matrix with other weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxbuild.tensors.second_moments import HEAD
from voxrun.device import mx
from voxrun.model.cpu.dense import FloatMatrix
from voxrun.model.cpu.tiled import Tiled

from .network import Network
from .parts import HEAD_BLOCK, DecoderLayer, Head, Part
from .recordings import Recording

Array = np.typing.NDArray[Any]
POSITIONS = 2048
"""Positions of recordings that are computed together, at least one recording."""


@dataclass
class Batch:
    """Some recordings, and their rows before a layer, one recording behind the other."""

    recordings: Sequence[Recording]
    rows: Array
    """[n, dim]"""
    lengths: list[int]
    """Rows of each recording."""

    def parts(self) -> list[Array]:
        """Each recording's rows."""
        return np.split(self.rows, np.cumsum(self.lengths)[:-1])


def batches_of(network: Network, recordings: Sequence[Recording]) -> list[Batch]:
    """All recordings before the network's first layer."""
    found: list[list[Recording]] = []
    count = POSITIONS
    for recording in recordings:
        count += len(recording.tokens)
        if count > POSITIONS:
            found, count = [*found, []], len(recording.tokens)
        found[-1].append(recording)
    return [_joined(each, [network.hear(recording) for recording in each]) for each in found]


def _joined(recordings: Sequence[Recording], rows: Sequence[Array]) -> Batch:
    return Batch(recordings, np.concatenate(rows), [len(each) for each in rows])


def enter(network: Network, part: Part, batch: Batch, table: Array | None = None) -> Batch:
    """The rows that a part takes, of those that the part before it gives.

    `table` are the embeddings [vocabulary, dim]; None: the network's own.
    """
    embedded = network.embedded if table is None else table.__getitem__
    pairs = zip(batch.parts(), batch.recordings, strict=True)
    rows = [network.enter(part, own, recording, embedded) for own, recording in pairs]
    return _joined(batch.recordings, rows)


def through(network: Network, part: Part, batch: Batch, replaced: Mapping[str, Any] | None = None) -> Batch:
    """The rows behind a part; `replaced` are modules that compute in the place of its own."""
    with part.replaced(replaced or {}), np.errstate(all="ignore"):
        x = network.array(batch.rows)
        out = np.array(part.compute_all(x, part.once(), batch.lengths)[0])
    shrunk = len(batch.rows) // len(out)  # the adapter's factor
    return Batch(batch.recordings, out, [n // shrunk for n in batch.lengths])


def divergence(network: Network, before: Batch, other: Batch, weight: Array | None = None) -> float:
    """The sum over all positions of KL(p || q), in nats: p behind rows `before` the head, q behind others.

    `weight` [vocabulary, dim] is q's head; None: the network's own.
    """
    total = 0.0
    for first in range(0, len(before.rows), HEAD_BLOCK):
        p = _log_probabilities(network, before.rows[first : first + HEAD_BLOCK], None)
        q = _log_probabilities(network, other.rows[first : first + HEAD_BLOCK], weight)
        total += float((np.exp(p) * (p - q)).sum())
    return total


def _log_probabilities(network: Network, rows: Array, weight: Array | None) -> Array:
    """Float64 [n, vocabulary]."""
    model = network.model.language_model
    with np.errstate(all="ignore"):
        hidden = model.norm(network.array(rows))
        if weight is None:
            logits = np.array(model.logits(hidden)[0], np.float64)
        elif isinstance(hidden, np.ndarray):
            logits = Tiled(FloatMatrix(weight)).product(hidden[0]).astype(np.float64)
        else:
            logits = np.array((hidden @ mx.array(weight).T)[0], np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


class Behind:
    """The network and all recordings, at one of its parts after the other."""

    def __init__(self, network: Network, recordings: Sequence[Recording]) -> None:
        self._network, self._parts = network, list(network.parts)
        self._batches = batches_of(network, recordings)
        self._heard: list[Batch] = []
        """Before the first decoder layer, without embeddings."""
        self._ends = self._all_before_the_head()
        self.positions = sum(len(batch.rows) for batch in self._ends)

    def _all_before_the_head(self) -> list[Batch]:
        ends = []
        for batch in self._batches:
            for part in self._parts[:-1]:
                if self._is_first_of_decoder(part):
                    self._heard.append(batch)
                batch = through(self._network, part, enter(self._network, part, batch))
            ends.append(enter(self._network, self._parts[-1], batch))
        return ends

    def _is_first_of_decoder(self, part: Part) -> bool:
        return part is next(each for each in self._parts if isinstance(each, DecoderLayer))

    def enter(self, part: Part) -> None:
        """Go on to a part, from the one before it."""
        self._batches = [enter(self._network, part, batch) for batch in self._batches]

    def leave(self, part: Part) -> None:
        """Go through a part."""
        if not isinstance(part, Head):
            self._batches = [through(self._network, part, batch) for batch in self._batches]

    def divergence(self, part: Part, module: str, weight: Array) -> float:
        """Mean KL(unquantized || with this weight) over all positions, in nats; `module` is in `part`."""
        if module == HEAD:
            return self._with_embedding(weight)
        layer, total = part.with_weight(module, weight), 0.0
        rest = self._parts[self._parts.index(part) + 1 :]
        for batch, end in zip(self._batches, self._ends, strict=True):
            other = through(self._network, part, batch, {module: layer})
            total += self._compared(other, end, rest)
        return total / self.positions

    def _with_embedding(self, weight: Array) -> float:
        decoder = [part for part in self._parts if isinstance(part, DecoderLayer)]
        total = 0.0
        for batch, end in zip(self._heard, self._ends, strict=True):
            first = through(self._network, decoder[0], enter(self._network, decoder[0], batch, weight))
            total += self._compared(first, end, [*decoder[1:], self._parts[-1]], weight)
        return total / self.positions

    def _compared(self, batch: Batch, end: Batch, rest: Sequence[Part], weight: Array | None = None) -> float:
        for part in rest:
            batch = enter(self._network, part, batch)
            if not isinstance(part, Head):
                batch = through(self._network, part, batch)
        return divergence(self._network, end, batch, weight)

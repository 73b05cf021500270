"""A walk through the unquantized network, layer by layer, over recordings: the second moments of its inputs.

In one pass a step is a layer. Sequentially a step is one input, as it is behind layers that are quantized
already: H = mean of xq xq^T, and the cross moments C = mean of xq x^T with the unquantized network's x.
Between two layers only the activations of all recordings are kept: memory does not grow with the layers.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxbuild.console import some_of
from voxbuild.errors import ConvertError
from voxbuild.files import stamp
from voxbuild.tensors.second_moments import HEAD, input_of
from voxrun.checkpoint.layout import Layout
from voxrun.device import device_name
from voxrun.files.hashes import sha256_of
from voxrun.mlx_thread import computed

from .network import Network
from .parts import Part
from .passes import Pass, Stream
from .recordings import Recording
from .state import State
from .sums import Array, Products


@dataclass
class Step:
    """Some modules of one layer, and the moments of their inputs."""

    name: str
    """The layer's canonical path."""
    modules: tuple[str, ...]
    """Canonical paths, in the order of the network."""
    means: dict[str, Array]
    """H by the first module of each input."""
    cross_means: dict[str, Array]
    """C, where it is not H."""
    quantized: Mapping[str, Array] = field(default_factory=dict)

    def moments(self, module: str) -> Array:
        """The second moments of a module's input, float64 [n, n]; modules with one input share the array."""
        return self.means[input_of(module)]

    def cross(self, module: str) -> Array | None:
        """C = mean of xq x^T of its input, float64 [n, n]; None: both networks have the same input."""
        return self.cross_means.get(input_of(module))

    def finish(self, quantized: Mapping[str, Array]) -> None:
        """Go on with these weights, float32 [rows, columns], of the step's modules; others stay as they are.

        In one pass nothing depends on them. The step's moments are given up.
        """
        self.quantized = quantized
        self.means, self.cross_means = {}, {}


@dataclass(frozen=True)
class Leg:
    """A layer that is gone through."""

    part: Part
    go: Callable[[Part], Iterator[Step]]
    passes: int
    """How often each recording goes through it."""


def _nothing(done: int) -> None:
    pass


Sums = dict[str, Products]
TABLE = "table"


class Walk:
    """The steps in the order of the network; sequentially the head comes first.

    The same recordings give the same moments on any number of cores. An interrupted walk goes on after the
    last layer that it finished.
    """

    def __init__(
        self,
        model: Path,
        recordings: Sequence[Recording],
        *,
        sequential: bool,
        state: Path | None = None,
    ) -> None:
        """`model` is the unquantized model's folder; what an interrupted walk needs is kept in `state`.

        Sequentially a state belongs to the weights that steps were finished with: others need another one.
        Raises ConfigError, WeightsError.
        """
        self._network = computed(Network, model)
        self._recordings, self._sequential = recordings, sequential
        self._done: Callable[[int], None] = _nothing
        self._tokens = np.unique(np.concatenate([self._network.history(each) for each in recordings]))
        self._state = State(state, self._identity()) if state else None
        self._streams: list[Stream] = []

    @property
    def total(self) -> int:
        """What `done` of `steps` is told altogether."""
        return sum(leg.passes for leg in self._legs()) * len(self._recordings)

    def __iter__(self) -> Iterator[Step]:
        """The steps, without progress."""
        return self.steps(_nothing)

    def steps(self, done: Callable[[int], None]) -> Iterator[Step]:
        """The steps; sequentially each must be finished before the next one is asked for.

        `done` is told of recordings that have gone through a layer.
        Raises ConvertError for inputs that are not finite, AudioError for an unreadable recording.
        """
        self._done = done
        legs = self._legs()
        finished = self._resume()
        self._done(sum(leg.passes for leg in legs[:finished]) * len(self._recordings))
        for number, leg in enumerate(legs[finished:], finished + 1):
            with self._network.loaded(leg.part.needs):
                self._enter(leg.part)
                yield from leg.go(leg.part)
            self._keep(number)
        if self._state:
            self._state.delete()

    def _legs(self) -> list[Leg]:
        *layers, head = self._network.parts
        if not self._sequential:
            return [Leg(part, self._in_one_pass, 1) for part in (*layers, head)]
        towards_head = [Leg(part, self._only_through, 1) for part in layers]
        quantized = [Leg(part, self._input_by_input, 1 + len(part.inputs)) for part in layers]
        return [*towards_head, Leg(head, self._head_first, 1), *quantized]

    def _in_one_pass(self, part: Part) -> Iterator[Step]:
        yield self._step(part, part.modules, *self._through(part, part.inputs))

    def _only_through(self, part: Part) -> Iterator[Step]:
        self._through(part, ())
        yield from ()

    def _head_first(self, head: Part) -> Iterator[Step]:
        """Sequentially: then both networks begin, the quantized one with the quantized embedding."""
        for step in self._in_one_pass(head):
            yield step
            table = step.quantized.get(HEAD)
        rows = self._start()
        self._streams = [Stream(rows), Stream(rows, table=None if table is None else table[self._tokens])]

    def _input_by_input(self, part: Part) -> Iterator[Step]:
        quantized = self._streams[-1]
        for group in part.groups:
            step = self._step(part, group, *self._through(part, group[:1], stop=True))
            yield step
            for path, weight in step.quantized.items():
                quantized.layers[path] = computed(part.with_weight, path, weight)
        self._through(part, ())
        quantized.layers = {}

    def _step(self, part: Part, modules: tuple[str, ...], moments: Sums, cross: Sums) -> Step:
        means = {path: computed(products.mean) for path, products in moments.items()}
        if broken := [path for path, mean in means.items() if not np.isfinite(mean).all()]:
            raise ConvertError(
                f"{self._network.folder}: the unquantized source is not usable: it gives no finite inputs to"
                f" {some_of(broken)}; repair or replace its weights"
            )
        others = {path: computed(products.mean) for path, products in cross.items()}
        return Step(part.name, modules, means, others)

    def _start(self) -> list[Array]:
        return [self._network.hear(recording) for recording in self._recordings]

    def _enter(self, part: Part) -> None:
        """Bring the activations from the layer before into the form that a part takes."""
        for stream in self._streams:
            stream.rows = [
                computed(self._network.enter, part, rows, recording, self._embedded(stream))
                for rows, recording in zip(stream.rows, self._recordings, strict=True)
            ]

    def _embedded(self, stream: Stream) -> Callable[[Array], Array]:
        table = stream.table
        if table is None:
            return self._network.embedded
        return lambda tokens: table[np.searchsorted(self._tokens, tokens)]

    def _through(self, part: Part, inputs: tuple[str, ...], *, stop: bool = False) -> tuple[Sums, Sums]:
        """All recordings through a part: the moments and cross moments of these inputs.

        With `stop` nothing is computed after them; otherwise the streams go on to the next part.
        """
        going = Pass(self._network, part, self._streams, inputs, stop=stop)
        outputs = []
        for number in range(len(self._recordings)):
            if not going.is_complete:
                outputs.append(going.hear(number))
            self._done(1)
        if not stop:
            for stream, *rows in zip(self._streams, *outputs, strict=True):
                stream.rows = rows
        return going.moments, going.cross

    def _resume(self) -> int:
        """Begin, or go on as the state says; the number of finished legs."""
        finished, kept = self._state.load() if self._state else (0, {})
        if not finished:
            self._streams = [Stream(self._start())]
            return 0
        count = len({name.partition(".")[0] for name in kept if name != TABLE})
        numbers = range(len(self._recordings))
        self._streams = [Stream([kept[f"{stream}.{n}"] for n in numbers]) for stream in range(count)]
        self._streams[-1].table = kept.get(TABLE)
        return finished

    def _keep(self, finished: int) -> None:
        if self._state:
            rows = {f"{n}.{i}": a for n, s in enumerate(self._streams) for i, a in enumerate(s.rows)}
            table = self._streams[-1].table
            self._state.save(finished, rows if table is None else rows | {TABLE: table})

    def _identity(self) -> str:
        """Of all that the moments depend on, but the weights that steps are finished with."""
        weights = {path.name: stamp(path) for path in Layout(self._network.folder).weight_files}
        heard = [(sha256_of(each.path), each.tokens) for each in self._recordings]
        facts = [weights, heard, self._sequential, device_name()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

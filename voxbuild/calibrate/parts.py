"""The network's parts, one layer each: what they compute, and which of their matrices have the same input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from voxbuild.tensors.second_moments import HEAD
from voxrun.device import mx, own_kernels
from voxrun.model.cache import KVCache
from voxrun.model.cpu.dense import FloatMatrix
from voxrun.model.cpu.layers import MappedEmbedding, MappedLinear
from voxrun.model.cpu.tiled import Tiled
from voxrun.model.decoder import delay_embedding
from voxrun.model.layers import Span, new_cache
from voxrun.model.linear import Linear
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.schedule import KNOWN_DELAYS

Array = np.typing.NDArray[Any]
Groups = tuple[tuple[str, ...], ...]
"""Modules in the order of the network; those of a group have the same input."""
BLOCK = 512
"""Rows of a recording that are computed together."""
HEAD_BLOCK = 128
"""The same for the head, whose outputs are as many as the vocabulary's tokens."""
ATTENTION = (("attention.q_proj", "attention.k_proj", "attention.v_proj"), ("attention.o_proj",))
FEED_FORWARD = (("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))
GAIN = (("ada_norm.linear_in",), ("ada_norm.linear_out",))
ADAPTER = (("w_in",), ("w_out",))


class Part:
    """A layer of a model. It computes blocks of a recording's rows one after the other."""

    block = BLOCK

    def __init__(
        self, model: VoxtralRealtime, name: str, groups: Groups, beside: tuple[str, ...] = ()
    ) -> None:
        """`groups` are paths within the module `name`; `beside` are others whose parameters it needs."""
        self.model, self.name = model, name
        self.groups: Groups = tuple(tuple(f"{name}.{path}" for path in group) for group in groups)
        self.needs = (name, *beside)

    @property
    def modules(self) -> tuple[str, ...]:
        """The canonical paths of its matrices."""
        return tuple(path for group in self.groups for path in group)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The first module of each group."""
        return tuple(group[0] for group in self.groups)

    def once(self) -> Any:
        """Compute what all recordings share."""

    def begin(self) -> Any:
        """What is kept from one block of a recording to the next."""

    def compute(self, x: Any, shared: Any, kept: Any) -> Any:
        """The next rows [1, n, dim] -> those of the next part; `shared` is of `once`, `kept` of `begin`."""
        raise NotImplementedError

    def compute_all(self, x: Any, shared: Any, lengths: Sequence[int]) -> Any:
        """All rows [1, sum of lengths, dim] of whole recordings, one behind the other -> the next part's."""
        return self.compute(x, shared, None)

    def watched(self, function: Callable[[], Any], watch: "Watch") -> Any:
        """The function's result, while the part's inputs are watched; None if that stopped it."""
        taps = {path: Tap(_at(self.model, path), path, watch) for path in watch.inputs}
        with self.replaced(taps), np.errstate(all="ignore"):
            try:
                return function()
            except Enough:
                return None

    @contextmanager
    def replaced(self, layers: Mapping[str, Any]) -> Iterator[None]:
        """Meanwhile these modules compute in the place of the model's own."""
        before = {path: _at(self.model, path) for path in layers}
        try:
            for path, layer in layers.items():
                _put(self.model, path, layer)
            yield
        finally:
            for path, layer in before.items():
                _put(self.model, path, layer)

    def weight(self, path: str) -> Array:
        """The weights of a module, float32 [rows, columns]."""
        layer = _at(self.model, path)
        if isinstance(layer, MappedLinear | MappedEmbedding):
            stored: Any = layer._stored
            found: Array = stored.stored.unpacked(0, stored.rows)
            return found
        return np.array(layer.weight.astype(mx.float32))

    def with_weight(self, path: str, weight: Array) -> Any:
        """A module like the model's own with other weights, float32 [rows, columns]."""
        layer = _at(self.model, path)
        if isinstance(layer, MappedLinear):
            tiled: Any = Tiled(FloatMatrix(weight))
            return MappedLinear(tiled, layer)
        other = Linear(weight.shape[1], weight.shape[0], bias=False)
        other.weight = mx.array(weight)
        if "bias" in layer:
            other.bias = layer.bias
        return other


class EncoderLayer(Part):
    """A block of the encoder."""

    def __init__(self, model: VoxtralRealtime, number: int) -> None:
        super().__init__(model, f"encoder.layers.{number}", ATTENTION + FEED_FORWARD)
        self._layer = model.encoder.layers[number]

    def begin(self) -> KVCache:
        """Its keys and values."""
        return new_cache(self.model.config.encoder.sliding_window)

    def compute(self, x: Any, shared: None, kept: KVCache) -> Any:
        """Frames [1, n, dim] -> the same."""
        return self._layer(x, [Span(kept, x.shape[1])])

    def compute_all(self, x: Any, shared: None, lengths: Sequence[int]) -> Any:
        """The same of whole recordings."""
        return self._layer(x, [Span(self.begin(), n) for n in lengths])


class Adapter(Part):
    """From the encoder's frames to the decoder's positions."""

    def __init__(self, model: VoxtralRealtime) -> None:
        super().__init__(model, "adapter", ADAPTER, ("encoder.norm",))
        self.block = BLOCK * model.config.downsample_factor

    def compute(self, x: Any, shared: None, kept: None) -> Any:
        """Frames [1, n, dim] -> [1, n / factor, the decoder's dim]."""
        return self.model.adapter(self.model.encoder.norm(x))


class DecoderLayer(Part):
    """A block of the language model."""

    def __init__(self, model: VoxtralRealtime, number: int, n_delay: int) -> None:
        super().__init__(model, f"language_model.layers.{number}", GAIN + ATTENTION + FEED_FORWARD)
        self._layer, self._delay = model.language_model.layers[number], KNOWN_DELAYS.index(n_delay)

    def once(self) -> Any:
        """The gain [1, dim] of the recordings' delay; those of all delays are computed."""
        dim = self.model.config.decoder.dim
        delays = np.concatenate([delay_embedding(n_delay, dim) for n_delay in KNOWN_DELAYS])
        gains = self._layer.ada_norm(delays if own_kernels() else mx.array(delays))
        return gains[self._delay : self._delay + 1]

    def begin(self) -> KVCache:
        """Its keys and values."""
        return new_cache(self.model.config.decoder.sliding_window)

    def compute(self, x: Any, shared: Any, kept: KVCache) -> Any:
        """Positions [1, n, dim] -> the same."""
        return self._layer(x, shared, [Span(kept, x.shape[1])])

    def compute_all(self, x: Any, shared: Any, lengths: Sequence[int]) -> Any:
        """The same of whole recordings."""
        return self._layer(x, shared, [Span(self.begin(), n) for n in lengths])


class Head(Part):
    """The embedding as the output head.

    Its input h counts as much as its outputs can change there: an error e of the logits costs
    sum_v p_v e_v^2 - (sum_v p_v e_v)^2, with independent errors of equal size in all rows 1 - sum_v p_v^2
    times as much as an error of one. It is weighted by the square root of that: the few positions at which
    the model hesitates would be too few to tell the directions of h, so the others count too.
    """

    block = HEAD_BLOCK

    def __init__(self, model: VoxtralRealtime) -> None:
        super().__init__(model, HEAD, (), ("language_model.norm",))
        self.groups = ((HEAD,),)

    def compute(self, x: Any, shared: None, kept: None) -> Any:
        """Positions [1, n, dim], after the last block."""
        hidden = self.model.language_model.norm(x)
        weights = np.sqrt(
            np.sqrt(doubt(np.array(self.model.language_model.logits(hidden)[0])))
        )  # x x^T squares them
        scaled = hidden[0] * (weights if isinstance(hidden, np.ndarray) else mx.array(weights))
        self._watch.see(HEAD, scaled)
        return x

    def watched(self, function: Callable[[], Any], watch: "Watch") -> Any:
        """The function's result, while the weighted inputs are watched."""
        self._watch = watch
        with np.errstate(all="ignore"):
            return function()


def doubt(logits: Array) -> Array:
    """Float32 logits [n, vocabulary], which are overwritten -> 1 - sum_v p_v^2, float32 [n, 1].

    The likeliest token is left out of the sums, or nothing would be left of a small doubt.
    """
    rows, likeliest = np.arange(len(logits)), logits.argmax(axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits[rows, likeliest] = 0
    rest = logits.sum(axis=1, dtype=np.float64)
    squares = np.square(logits, out=logits).sum(axis=1, dtype=np.float64)
    total = 1 + rest
    weights: Array = ((rest * (total + 1) - squares) / (total * total)).astype(np.float32)[:, None]
    return weights


class Enough(Exception):  # noqa: N818
    """All inputs that were asked for are there."""


class Watch:
    """The inputs of some modules in one block of rows."""

    def __init__(self, inputs: tuple[str, ...], stop: bool) -> None:
        """`stop`: nothing needs to be computed after the last of them."""
        self.inputs, self._stop = inputs, stop
        self.seen: dict[str, Any] = {}

    def see(self, path: str, x: Any) -> None:
        """Keep an input [..., columns]. Raises Enough."""
        self.seen[path] = x.reshape(-1, x.shape[-1])
        if self._stop and path == self.inputs[-1]:
            raise Enough


class Tap:
    """A module whose input is watched."""

    def __init__(self, layer: Any, path: str, watch: Watch) -> None:
        self._layer, self._path, self._watch = layer, path, watch

    def __call__(self, x: Any) -> Any:
        """The module's output."""
        self._watch.see(self._path, x)
        return self._layer(x)


def parts_of(model: VoxtralRealtime, n_delay: int) -> list[Part]:
    """All parts in their order; `n_delay` is the recordings' delay in positions."""
    return [
        *(EncoderLayer(model, number) for number in range(model.config.encoder.n_layers)),
        Adapter(model),
        *(DecoderLayer(model, number, n_delay) for number in range(model.config.decoder.n_layers)),
        Head(model),
    ]


def _at(model: VoxtralRealtime, path: str) -> Any:
    found: Any = model
    for name in path.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def _put(model: VoxtralRealtime, path: str, layer: Any) -> None:
    parent, _, name = path.rpartition(".")
    setattr(_at(model, parent), name, layer)

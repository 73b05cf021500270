"""The second moment of every single input of every matrix, over calibration clips: the diagonal of H.

The unquantized model transcribes the clips while its linear layers are wrapped. An error e in a weight of
column j adds e^2 E[x_j^2] to the squared error of an output.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.console import some_of
from voxbuild.errors import ConvertError
from voxbuild.tensors.moments import Array, Moments
from voxrun.device import mx
from voxrun.model.cpu import layers
from voxrun.model.cpu.layers import MappedEmbedding, MappedLinear
from voxrun.model.linear import Embedding, Linear
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.transcriber import Transcriber

LINEAR = Linear | MappedLinear
EMBEDDING = Embedding | MappedEmbedding


class Observed:
    """Wraps a layer, and sums the squares of its inputs."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._sums: Any = 0.0
        self._rows = 0

    def __call__(self, x: Any) -> Any:
        """The layer's output for x of MLX or of NumPy."""
        floats = x if isinstance(x, np.ndarray) else x.astype(mx.float32)
        rows = np.array(floats, np.float64).reshape(-1, x.shape[-1])
        self._sums = self._sums + (rows * rows).sum(axis=0)
        self._rows += len(rows)
        return self._layer(x)

    def moments(self) -> Array:
        """The mean squares of the inputs [columns]; NaN if there was no input."""
        means: Array = np.divide(self._sums, self._rows or np.nan)
        with np.errstate(over="ignore"):
            return means.astype(np.float32)

    def is_usable(self) -> bool:
        """Whether all inputs were finite, and their mean squares are."""
        return not self._rows or bool(np.isfinite(self.moments()).all())


def observe(model: VoxtralRealtime) -> dict[str, Observed]:
    """Wrap every linear layer; return canonical path -> wrapper."""
    found = {p: Observed(layer) for p, layer in model.named_modules() if isinstance(layer, LINEAR)}
    for path, observed in found.items():
        *parents, name = path.split(".")
        owner: Any = model
        for part in parents:
            owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
        setattr(owner, name, observed)
    return found


def mean_squares(folder: Path, recordings: Sequence[Path], done: Callable[[], None]) -> Moments:
    """The moments of the unquantized model in a folder over recordings.

    Raises ConvertError if they are not finite, and voxrun's errors.

    The embedding's are all 1: it is also the output head, but weighting its columns by the head's inputs
    makes the decoder's inputs worse by more than it improves the head.
    """
    transcriber = Transcriber.open(folder)
    model = transcriber.model
    layers.round_as_before(model)  # or the bytes of searched weights would change
    embeddings = [path for path, layer in model.named_modules() if isinstance(layer, EMBEDDING)]
    observed = observe(model)
    for path in recordings:
        transcriber.transcribe(path)
        done()
    if broken := [path for path, observer in observed.items() if not observer.is_usable()]:
        raise ConvertError(
            f"{folder}: the unquantized source is not usable: it gives no finite inputs to {some_of(broken)};"
            " repair or replace its weights"
        )
    moments = {path: observer.moments() for path, observer in observed.items()}
    moments |= {path: np.ones(model.config.decoder.dim, np.float32) for path in embeddings}
    return dict(sorted(moments.items()))

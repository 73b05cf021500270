"""How much the output changes if one matrix is quantized: for the allocation of bits.

For each matrix and some settings: the mean over all positions of KL(unquantized || with this matrix
quantized), in nats, over recordings, with the unquantized model's own tokens. A matrix is rounded as
conversion rounds it. What comes before its layer is computed once.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.errors import ConvertError
from voxbuild.files import read_state, write_json
from voxbuild.plan.costs import key_of
from voxbuild.tensors.methods import METHODS, Choice, Lookup, choose
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.quantize import cast
from voxbuild.tensors.targets import dequantized
from voxrun.mlx_thread import computed
from voxrun.parallel import in_parts

from .behind import Behind
from .network import Network
from .parts import Part
from .recordings import Recording

Array = np.typing.NDArray[Any]
Wanted = Mapping[str, Sequence[Quantization]]
"""Module -> the settings to measure."""
Measured = dict[str, dict[str, float]]
"""Module -> bits/group size -> mean KL."""


@dataclass
class Sensitivity:
    """A measurement that goes on where it was interrupted."""

    network: Network
    recordings: Sequence[Recording]
    dtype: str
    """safetensors dtype to which weights are cast before they are quantized."""
    moments: Mapping[str, Lookup]
    """By kind, as `methods.choose` takes them."""
    state: Path
    """A file with what has been measured."""
    facts: Mapping[str, Any]
    """Everything that the result depends on; what was measured with others is not used."""

    def measure(self, wanted: Wanted, done: Callable[[], object] = lambda: None) -> Measured:
        """The KL of each setting; `done` is called for each. Raises ConvertError, AudioError."""
        found = self._resume()
        needs = [module for part in self.network.parts for module in part.needs]
        with self.network.loaded(needs):
            behind = computed(Behind, self.network, self.recordings)
            for part in self.network.parts:
                computed(behind.enter, part)
                for module in part.modules:
                    for how, kl in self._of_module(behind, part, module, wanted.get(module, ()), found):
                        found.setdefault(module, {})[key_of(how)] = kl
                        write_json(self.state, {"facts": dict(self.facts), "modules": found})
                        done()
                computed(behind.leave, part)
        return {module: found[module] for module in wanted}

    def _of_module(
        self, behind: Behind, part: Part, module: str, wanted: Sequence[Quantization], found: Measured
    ) -> Iterator[tuple[Quantization, float]]:
        """The settings, and what each costs."""
        rows, choices = None, dict[int, Choice]()
        for how in wanted:
            if (known := found.get(module, {}).get(key_of(how))) is not None:
                yield how, known
                continue
            if rows is None:
                rows = cast(computed(part.weight, module), "F32", self.dtype)
            if how.group_size not in choices:
                choices[how.group_size] = choose(module, rows.shape[1], how, self.moments)
            weight = _quantized(rows, self.dtype, how, choices[how.group_size])
            kl = computed(behind.divergence, part, module, weight)
            if not math.isfinite(kl):
                raise ConvertError(
                    f"{module}: the output is not finite with {how.in_words}; repair the source's weights, or"
                    " use `dtype: bfloat16`, whose range is larger than float16's"
                )
            yield how, kl

    def _resume(self) -> Measured:
        kept = read_state(self.state)
        return kept["modules"] if kept and kept.get("facts") == dict(self.facts) else {}


def _quantized(rows: Array, dtype: str, how: Quantization, choice: Choice) -> Array:
    """A matrix in storage form, quantized and back, float32; rows are rounded on all cores."""
    how = replace(choice.how, bits=how.bits)
    result = np.empty(rows.shape, np.float32)

    def part(first: int, last: int) -> None:
        parts = METHODS[how.search].quantize(rows[first:last], dtype, how, choice.prepared)
        result[first:last] = dequantized(list(parts.values()), dtype, how)

    in_parts(part, len(rows), 5 * len(rows) * rows.shape[1] ** 2)
    return result

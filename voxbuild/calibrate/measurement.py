"""The measurement for a budget, of a variant's files: what is measured, and what it depends on."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.console import progress_bar
from voxbuild.files import write_json
from voxbuild.plan.costs import FORMAT, to_measure, widths_for
from voxbuild.recipes.recipe import DTYPES
from voxbuild.sources.clips import read_recordings
from voxbuild.tensors.methods import Lookup
from voxbuild.tensors.moments import load_moments
from voxbuild.tensors.second_moments import Matrix, SecondMoments
from voxrun.device import device_name
from voxrun.files.hashes import sha256_of
from voxrun.mlx_thread import computed
from voxrun.model.voxtral import parameter_shapes

from .network import Network
from .recordings import Recording, load_recordings, own_tokens, refuse_silence
from .sensitivity import Sensitivity
from .walk import Step, Walk
from .whole import are_kept


def write_sensitivity(variant: Variant, model: Path) -> None:
    """Measure what each matrix costs, with the unquantized model in a folder, into the variant's file.

    What was measured before an interruption is kept. Raises ConvertError, AudioError, CheckpointError.
    """
    quantize, dtype = variant.recipe.quantize, DTYPES[variant.recipe.dtype]
    assert quantize is not None
    recordings = _recordings(variant, model)
    network = computed(Network, model)
    names = parameter_shapes(network.model.config).items()
    shapes = {n.removesuffix(".weight"): s for n, s in names if n.endswith(".weight") and len(s) == 2}
    wanted = to_measure(quantize, shapes)
    facts = _facts(variant, recordings) | {"widths": list(widths_for(shapes))}
    unfinished = variant.sensitivity_file.with_suffix(".unfinished.json")
    with (
        _moments(variant, model, network, recordings) as moments,
        progress_bar(f"measure {variant.recipe.name}", sum(map(len, wanted.values())), "matrix") as bar,
    ):
        measuring = Sensitivity(network, recordings, dtype, moments, unfinished, facts)
        measured = measuring.measure(wanted, bar.update)
    write_json(variant.sensitivity_file, {"format": FORMAT, **facts, "modules": measured})
    unfinished.unlink(missing_ok=True)


def _recordings(variant: Variant, model: Path) -> list[Recording]:
    """What calibrates, with what the model writes for it; that of the stage `calibrate` if it has run."""
    clips = variant.book.clips[str(variant.recipe.calibrate)]
    paths = [clip.path for clip in read_recordings(clips, variant.work.clips)]
    if variant.recipe.moments == "matrix":
        return load_recordings(variant.tokens_file, paths)
    with progress_bar(f"transcribe {clips.name}", len(paths), "clip") as bar:
        recordings = own_tokens(model, paths, bar.update)
    refuse_silence(model, recordings)
    return recordings


def _facts(variant: Variant, recordings: list[Recording]) -> dict[str, Any]:
    """Everything that the measurement depends on, but the widths."""
    quantize = variant.recipe.quantize
    assert quantize is not None
    tokens = json.dumps([recording.tokens for recording in recordings])
    return {
        "source": variant.fetched.identity(),
        "recordings": {recording.path.name: sha256_of(recording.path) for recording in recordings},
        "tokens": hashlib.sha256(tokens.encode()).hexdigest(),
        "moments": sha256_of(variant.moments_file) if variant.recipe.moments else None,
        "quantization": {"mode": quantize.mode, "search": quantize.search, "group_size": quantize.group_size},
        "dtype": variant.recipe.dtype,
        "tools": tool_versions(),
        "device": device_name(),
    }


@contextmanager
def _moments(
    variant: Variant, model: Path, network: Network, recordings: list[Recording]
) -> Iterator[Mapping[str, Lookup]]:
    """The moments for the search, by their kind; those that are too large to keep are measured in passing."""
    kind = variant.recipe.moments
    if kind == "diagonal":
        yield {kind: load_moments(variant.moments_file).get}
    elif kind == "matrix" and not are_kept(network.model.config):
        yield {kind: InPassing(Walk(model, recordings, sequential=False))}
    elif kind == "matrix":
        with SecondMoments(variant.moments_file) as file:
            yield {kind: file.of}
    else:
        yield {}


class InPassing:
    """Second moments of modules in the order of the network; one layer's are kept."""

    def __init__(self, walk: Walk) -> None:
        self._steps = walk.steps(lambda done: None)
        self._step: Step | None = None

    def __call__(self, module: str) -> Matrix:
        """H of a module's input, float64 [n, n]; later modules only."""
        while self._step is None or module not in self._step.modules:
            self._step = next(self._steps)
        return self._step.moments(module)

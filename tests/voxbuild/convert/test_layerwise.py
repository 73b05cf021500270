"""Conversion layer by layer: the bytes of the streaming one, resumed after any step, or sequential."""

from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from small_sources import header_of, params_of, raw, write_checkpoint

from voxbuild.convert import layerwise
from voxbuild.convert.layerwise import convert_by_layers
from voxbuild.convert.rounding import rounding_of
from voxbuild.convert.shards import convert
from voxbuild.errors import ConvertError
from voxbuild.folders import Journal
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.quantization import Quantize, Rule
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.feedback import curvature, damping_of, round_rows
from voxbuild.tensors.quantize import cast
from voxbuild.tensors.second_moments import input_of
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxbuild.tensors.targets import towards
from voxrun.device import mx

PARAMS = params_of(dim=128, hidden=128, layers=2)
HEADER = header_of(PARAMS)
SKIPPED = Rule(match="*.ada_norm.*", skip=True)
PLAIN = Rule(match="adapter.w_in", search="none")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A random checkpoint's path and its values by name."""
    path = tmp_path_factory.mktemp("source") / "consolidated.safetensors"
    return path, write_checkpoint(path, HEADER)


@pytest.fixture(scope="module")
def plan(root):
    """Three shards; the matrices of a layer may be in two of them."""
    quantize = Quantize(bits=3, group_size=32, search="gptq", rules=(SKIPPED, PLAIN))
    recipe = read_book(root / "recipes").recipe("4bit").model_copy(update={"quantize": quantize})
    whole = make_plan(recipe, HEADER, PARAMS)
    count = len(whole.tensors)
    parts = tuple(replace(tensor, shard=3 * i // count) for i, tensor in enumerate(whole.tensors))
    return replace(whole, tensors=parts)


def kept(module):
    """As a file of moments would give them."""
    return moments_of(module).astype(np.float32)


def moments_of(module, seed=0):
    name = input_of(module)
    n = 64 if name.startswith("encoder") and "o_proj" not in name and "down" not in name else 128
    n = 256 if name == "adapter.w_in" else n
    x = np.random.default_rng(sum(name.encode()) + seed).normal(size=(3 * n, n)) @ np.tri(n)
    return x.T @ x / len(x)


@dataclass
class Step:
    name: str
    modules: tuple[str, ...]
    between: dict | None = None
    finished: list = field(default_factory=list)

    def moments(self, module):
        return moments_of(module)

    def cross(self, module):
        return None if self.between is None else self.between[input_of(module)]

    def finish(self, quantized):
        self.finished.append(quantized)


def steps_of(plan):
    """A step for each layer, in the order of the network."""
    modules = [t.module for t in plan.tensors if len(t.shape) == 2]
    layers = {m: ".".join(m.split(".")[:3]) if "layers" in m else m for m in modules}
    return [
        Step(name, tuple(m for m in modules if layers[m] == name)) for name in sorted(set(layers.values()))
    ]


def by_layers(plan, path, journal, walk, **more):
    journal.folder.mkdir(exist_ok=True)
    with SourceFiles({"weights": path}) as files, closing(Passes(files, ())) as source:
        return convert_by_layers(plan, source, journal, walk, lambda done: None, **more)


@pytest.fixture(scope="module")
def expected(plan, source, tmp_path_factory):
    """The hashes of the streaming conversion with the same moments."""
    journal = Journal(tmp_path_factory.mktemp("streamed"), "once")
    with Checkpoint(source[0]) as file, closing(OnePass(file, hashing=False)) as stream:
        return convert(plan, stream, journal, lambda done: None, {"matrix": kept}), rounding_of(journal)


def test_layer_by_layer_gives_the_bytes_of_the_streaming_conversion(plan, source, expected, tmp_path):
    journal = Journal(tmp_path / "out", "once")
    assert by_layers(plan, source[0], journal, lambda: steps_of(plan)) == expected[0]
    facts = rounding_of(journal)
    moments = facts.pop("moments")
    assert facts == expected[1]
    assert moments.keys() == {
        input_of(t.module) for t in plan.tensors if t.quantization and t.module != PLAIN.match
    }


@pytest.mark.slow
@pytest.mark.parametrize("last", [0, 2])
def test_a_stopped_conversion_goes_on_after_its_last_step(
    plan, source, expected, tmp_path, monkeypatch, last
):
    class Killed(BaseException):
        pass

    def dying():
        yield from steps_of(plan)[:last]
        raise Killed

    with pytest.raises(Killed):
        by_layers(plan, source[0], Journal(tmp_path / "out", "once"), dying)
    rounded, original = [], layerwise.choose

    def spy(module, *rest):
        rounded.append(module)
        return original(module, *rest)

    monkeypatch.setattr(layerwise, "choose", spy)
    again = Journal(tmp_path / "out", "once")
    assert again, "the folder is kept"
    assert by_layers(plan, source[0], again, lambda: steps_of(plan)) == expected[0]
    done = {module for step in steps_of(plan)[:last] for module in step.modules}
    assert not done & set(rounded)
    assert rounded
    assert rounding_of(again).keys() == {"moments", *expected[1]}
    rounded.clear()
    assert by_layers(plan, source[0], Journal(tmp_path / "out", "once"), None) == expected[0], (
        "no walk is needed"
    )
    assert not rounded


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["bytes", "another recipe"])
def test_what_is_damaged_or_of_another_recipe_is_not_continued(plan, source, expected, tmp_path, damage):
    journal = Journal(tmp_path / "out", "once")
    by_layers(plan, source[0], journal, lambda: steps_of(plan))
    journal.walk.mkdir()
    shard = tmp_path / "out" / list(plan.shards)[-1]
    if damage == "bytes":
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
    again = Journal(tmp_path / "out", "once" if damage == "bytes" else "other")
    walked = []

    def walk():
        assert not again.walk.exists(), "nor is the walk"
        walked.extend(steps_of(plan))
        return walked

    assert by_layers(plan, source[0], again, walk) == expected[0]
    assert walked


def test_a_walk_that_ends_too_early_is_an_error(plan, source, tmp_path):
    with pytest.raises(ConvertError, match="not reached by the walk"):
        by_layers(plan, source[0], Journal(tmp_path / "out", "once"), lambda: steps_of(plan)[:-1])


@pytest.mark.slow
def test_a_sequential_walk_rounds_towards_the_targets_and_goes_on_with_what_is_stored(
    plan, source, tmp_path, monkeypatch
):
    filled, fill = set(), layerwise._fill

    def spy(weights, stored):
        filled.add(stored.piece.tensor.module)
        fill(weights, stored)

    monkeypatch.setattr(layerwise, "_fill", spy)
    between = {input_of(t.module): moments_of(t.module, 1) for t in plan.tensors if len(t.shape) == 2}
    steps = steps_of(plan)
    for step in steps[1:]:
        step.between = between

    def target(module, moments, cross):
        return towards(moments, cross, damping_of(module), 0.5)

    by_layers(plan, source[0], Journal(tmp_path / "out", "once"), lambda: steps, target=target)
    written = {}
    for name in plan.shards:
        written |= mx.load(str(tmp_path / "out" / name))
    seen = {module: weights for step in steps for module, weights in step.finished[0].items()}
    assert filled == seen.keys(), "in memory is only what the walk goes on with"
    for tensor in plan.tensors:
        if tensor.module not in seen:
            continue
        parts = [written[f"{tensor.module}.{leaf}"] for leaf in ("weight", "scales", "biases")]
        scales, biases = (part.astype(mx.float32) for part in parts[1:])
        stored = mx.dequantize(parts[0], scales, biases, 32, 3)
        assert np.allclose(seen[tensor.module], np.array(stored), atol=1e-6)
    query = next(t for t in plan.tensors if t.module == "language_model.layers.0.attention.q_proj")
    rows = np.array(source[1][query.source].view(mx.uint16))
    moments = moments_of(query.module)
    towards_it = cast(rows, "BF16", "F32") @ target(query.module, moments, between[query.module])
    cost = curvature(moments.astype(np.float32), damping_of(query.module), 32)
    parts = round_rows(cast(towards_it, "F32", "BF16"), "BF16", query.quantization, cost)
    assert raw(written[f"{query.module}.scales"]) == parts["scales"].tobytes()
    assert PLAIN.match not in seen


def test_the_target_is_the_matrix_of_least_error_behind_the_quantized_inputs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 8))
    xq = x + 0.3 * rng.normal(size=(4000, 8)) @ np.tri(8)
    weights = rng.normal(size=(5, 8))
    best = np.linalg.lstsq(xq, x @ weights.T, rcond=None)[0].T
    moments, cross = xq.T @ xq / len(x), xq.T @ x / len(x)
    found = towards(moments, cross, 1e-9, 1.0)
    assert np.allclose(weights @ found, best, atol=1e-5)
    assert np.array_equal(moments, xq.T @ xq / len(x)), "they are as before"
    assert np.array_equal(cross, xq.T @ x / len(x))
    half = towards(xq.T @ xq / len(x), xq.T @ x / len(x), 1e-9, 0.5)
    assert np.allclose(weights @ half, (best + weights) / 2, atol=1e-5)

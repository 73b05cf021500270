"""The walk layer by layer gives the moments of the whole network's inputs, on any number of cores."""

from itertools import islice

import numpy as np
import pytest
from small_sources import unusable_model

from voxbuild.calibrate import parts
from voxbuild.calibrate.walk import Walk
from voxbuild.calibrate.whole import second_moments
from voxbuild.errors import ConvertError
from voxbuild.tensors.second_moments import HEAD, input_of
from voxrun import parallel
from voxrun.audio.file import FileSource
from voxrun.checkpoint.config import ModelConfig
from voxrun.files.objects import read_json
from voxrun.model.cpu import layers
from voxrun.model.cpu.dense import FloatMatrix
from voxrun.model.cpu.layers import MappedEmbedding, MappedLinear
from voxrun.model.decoder import delay_embedding
from voxrun.model.voxtral import parameter_shapes
from voxrun.stream.schedule import KNOWN_DELAYS
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.transcriber import Transcriber


@pytest.fixture(scope="module")
def known(tiny, recordings):
    """H of every input in one pass."""
    return second_moments(Walk(tiny, recordings, sequential=False), lambda n: None)


@pytest.fixture(autouse=True)
def quick_products():
    """In small products the BLAS's threads would wait for each other."""
    with parallel.one_blas_thread():
        yield


class Seen:
    """A linear layer whose inputs are kept."""

    def __init__(self, layer):
        self.layer, self.rows = layer, []

    def __call__(self, x):
        self.rows.append(np.array(x, np.float64).reshape(-1, x.shape[-1]))
        return self.layer(x)


def inputs_of(folder, recordings, change=lambda weight: weight):
    """Module -> its inputs [n, columns] in a forward pass of the whole model, with changed weights."""
    transcriber = Transcriber.open(folder)
    model = transcriber.model
    watched = {}
    for path, layer in model.named_modules():
        if isinstance(layer, MappedLinear | MappedEmbedding):
            layer._stored = FloatMatrix(change(layer._stored.weight))
        if isinstance(layer, MappedLinear):
            watched[path] = Seen(layer)
            parts._put(model, path, watched[path])
    weights = [watched.pop(path) for path in list(watched) if "ada_norm" in path]
    heads = []
    take = model.language_model.logits

    def logits(hidden):
        out = take(hidden)
        p = np.exp(out[0].astype(np.float64))
        p /= p.sum(axis=1, keepdims=True)
        heads.append(hidden[0] * (1 - (p**2).sum(axis=1, keepdims=True)) ** 0.25)
        return out

    object.__setattr__(model.language_model, "logits", logits)
    for recording in recordings:
        samples = np.concatenate(list(FileSource(recording.path, transcriber.rate)))
        for _ in teacher_forced_logits(model, transcriber.tokenizer, samples, recording.tokens):
            pass
    for seen in weights:
        seen.rows.clear()
    delays = np.concatenate([delay_embedding(n, model.config.decoder.dim) for n in KNOWN_DELAYS])
    for number, layer in enumerate(model.language_model.layers):
        layer.ada_norm(delays)
        for name in ("linear_in", "linear_out"):
            watched[f"language_model.layers.{number}.ada_norm.{name}"] = getattr(layer.ada_norm, name)
    return {path: np.concatenate(seen.rows) for path, seen in watched.items()} | {HEAD: np.concatenate(heads)}


def assert_near(found, wanted):
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_moments_are_those_of_a_forward_pass_of_the_whole_model(tiny, recordings, known):
    inputs = inputs_of(tiny, recordings)
    shapes = parameter_shapes(ModelConfig.from_dict(read_json(tiny / "params.json")))
    assert {n.removesuffix(".weight") for n, shape in shapes.items() if len(shape) == 2} == inputs.keys()
    assert {input_of(module) for module in inputs} == known.keys()
    for module, x in inputs.items():
        assert_near(known[input_of(module)], x.T @ x / len(x))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_number_of_cores_changes_no_bit(monkeypatch, tiny, recordings, known, count):
    monkeypatch.setattr(parallel, "cores", lambda: count)
    monkeypatch.setattr(parallel, "WORTH_A_THREAD", 1)
    found = second_moments(Walk(tiny, recordings, sequential=False), lambda n: None)
    assert all(np.array_equal(found[path], moments) for path, moments in known.items())


def test_the_length_of_blocks_matters_only_to_the_rounding(monkeypatch, tiny, recordings, known):
    """They are shorter than a recording here, so keys, values and the convolutions' tails are passed on."""
    monkeypatch.setattr(parts.Part, "block", 64)
    monkeypatch.setattr(parts.Head, "block", 10)
    monkeypatch.setattr("voxbuild.calibrate.network.BLOCK", 16)
    found = second_moments(Walk(tiny, recordings, sequential=False), lambda n: None)
    for path, moments in known.items():
        assert_near(found[path], moments)


@pytest.mark.slow
def test_mlx_computes_the_same_to_its_precision(monkeypatch, tiny, recordings):
    known = second_moments(Walk(tiny, recordings[:1], sequential=False), lambda n: None)
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    found = second_moments(Walk(tiny, recordings[:1], sequential=False), lambda n: None)
    assert found.keys() == known.keys()
    for path, moments in known.items():
        assert np.abs(found[path] - moments).max() <= 1e-4 * np.abs(moments).max()


@pytest.mark.slow
def test_mapped_weights_are_given_back_after_each_layer(monkeypatch, tiny, recordings, known):
    monkeypatch.setattr(layers, "SMALL_MODEL", 0)
    walk = Walk(tiny, recordings, sequential=False)
    mapped = {p for p, m in walk._network.model.named_modules() if any(layers._mappings(m))}
    assert {module for step in walk for module in step.modules} <= mapped
    found = second_moments(Walk(tiny, recordings, sequential=False), lambda n: None)
    for path, moments in known.items():
        assert_near(found[path], moments)


def weights_of(folder):
    modules = Transcriber.open(folder).model.named_modules()
    return {p: m._stored.weight for p, m in modules if isinstance(m, MappedLinear | MappedEmbedding)}


def coarse(weight):
    """Weights as a rough quantization leaves them."""
    step = np.float32(np.abs(weight).max() / 8)
    return np.round(weight / step) * step


def walked(steps, change, folder):
    """Each module's H and C, in steps that are finished with changed weights."""
    weights, found = weights_of(folder), {}
    for step in steps:
        found |= {module: (step.moments(module), step.cross(module)) for module in step.modules}
        step.finish({module: change(weights[module]) for module in step.modules})
    return found


@pytest.mark.slow
def test_behind_equal_weights_both_networks_have_the_moments_of_one_pass(tiny, recordings, known):
    found = walked(Walk(tiny, recordings, sequential=True), lambda weight: weight.copy(), tiny)
    assert next(iter(found)) == HEAD
    assert {input_of(module) for module in found} == known.keys()
    for module, (moments, cross) in found.items():
        assert_near(moments, known[input_of(module)])
        assert (cross is None) == (module == HEAD)
        if cross is not None:
            assert_near(cross, moments)


@pytest.mark.slow
def test_behind_quantized_weights_moments_are_those_of_the_quantized_network(tiny, recordings):
    found = walked(Walk(tiny, recordings, sequential=True), coarse, tiny)
    exact, quantized = inputs_of(tiny, recordings), inputs_of(tiny, recordings, coarse)
    for module, (moments, cross) in found.items():
        x, xq = exact[module], quantized[module]
        if module == HEAD:
            assert_near(moments, x.T @ x / len(x))
        else:
            assert_near(moments, xq.T @ xq / len(x))
            assert_near(cross, xq.T @ x / len(x))


@pytest.mark.slow
@pytest.mark.parametrize(("sequential", "stopped"), [(False, 2), (False, 7), (True, 6), (True, 20)])
def test_a_walk_that_was_stopped_goes_on_after_its_last_finished_layer(
    tmp_path, tiny, recordings, sequential, stopped
):
    state, heard = tmp_path / "state", []
    whole = walked(Walk(tiny, recordings, sequential=sequential), coarse, tiny)
    seen = walked(islice(Walk(tiny, recordings, sequential=sequential, state=state), stopped), coarse, tiny)
    assert len(list(state.glob("*.safetensors"))) == 1
    again = Walk(tiny, recordings, sequential=sequential, state=state)
    found = walked(again.steps(heard.append), coarse, tiny)
    assert sum(heard) == again.total
    assert len(found) < len(whole) <= len(seen.keys() | found.keys())
    for module, (moments, cross) in found.items():
        assert np.array_equal(moments, whole[module][0])
        assert cross is None or np.array_equal(cross, whole[module][1])
    assert not state.exists()


def test_what_was_kept_of_other_recordings_is_not_used(tmp_path, tiny, recordings, known):
    for step in islice(Walk(tiny, recordings[:1], sequential=False, state=tmp_path / "state"), 3):
        step.finish({})
    found = second_moments(Walk(tiny, recordings, sequential=False, state=tmp_path / "state"), lambda n: None)
    assert all(np.array_equal(found[path], moments) for path, moments in known.items())


def test_a_source_without_finite_inputs_is_named(tmp_path, recordings):
    broken = unusable_model(tmp_path / "model")
    with pytest.raises(ConvertError, match=r"is not usable: it gives no finite inputs to "):
        second_moments(Walk(broken, recordings[:1], sequential=False), lambda n: None)

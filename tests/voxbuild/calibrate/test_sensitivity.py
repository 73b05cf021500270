"""The divergence behind one quantized matrix: that of the whole network, on any number of cores, resumed."""

from itertools import count

import numpy as np
import pytest

from voxbuild.calibrate import sensitivity
from voxbuild.calibrate.measurement import InPassing
from voxbuild.calibrate.network import Network
from voxbuild.calibrate.sensitivity import Sensitivity
from voxbuild.calibrate.walk import Walk
from voxbuild.calibrate.whole import second_moments
from voxbuild.errors import ConvertError
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.quantize import cast, quantize_rows
from voxbuild.tensors.second_moments import HEAD, input_of
from voxbuild.tensors.targets import dequantized
from voxrun import parallel
from voxrun.audio.file import FileSource
from voxrun.mlx_thread import computed
from voxrun.model.cpu.dense import FloatMatrix
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.transcriber import Transcriber

HOW = Quantization("affine", 3, 64)
MODULES = ("encoder.layers.2.mlp.up_proj", "adapter.w_in", "language_model.layers.0.ada_norm.linear_in", HEAD)

pytestmark = pytest.mark.slow


@pytest.fixture
def new(tiny, recordings, tmp_path):
    network = computed(Network, tiny)
    numbers = count()

    def make(state=None, **facts):
        state = state or tmp_path / f"{next(numbers)}.json"
        return Sensitivity(network, recordings, "BF16", {}, state, facts)

    return make


def log_probabilities(transcriber, recordings):
    """Of each recording [n, vocabulary], by the whole network."""
    for recording in recordings:
        samples = np.concatenate(list(FileSource(recording.path, transcriber.rate)))
        blocks = teacher_forced_logits(transcriber.model, transcriber.tokenizer, samples, recording.tokens)
        logits = np.concatenate([np.array(block, np.float64) for block in blocks])
        yield logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("module", MODULES)
def test_it_is_the_divergence_of_the_whole_network(new, tiny, recordings, module):
    found = new().measure({module: [HOW]})[module]["3/64"]
    transcriber = Transcriber.open(tiny)
    before = list(log_probabilities(transcriber, recordings))
    layer = dict(transcriber.model.named_modules())[module]
    rows = cast(layer._stored.weight, "F32", "BF16")
    layer._stored = FloatMatrix(dequantized(list(quantize_rows(rows, "BF16", HOW).values()), "BF16", HOW))
    transcriber.model._gains.clear()
    after = list(log_probabilities(transcriber, recordings))
    expected = np.concatenate([(np.exp(p) * (p - q)).sum(axis=1) for p, q in zip(before, after, strict=True)])
    assert found == pytest.approx(expected.mean(), rel=2e-3)
    assert found > 1e-6


def test_the_number_of_cores_changes_no_bit(new, monkeypatch):
    wanted = {module: [HOW] for module in MODULES}
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(parallel, "cores", lambda cores=cores: cores)
        results.append(new().measure(wanted))
    assert results[0] == results[1]


def test_an_output_that_is_not_finite_is_an_error_that_names_the_matrix(new, monkeypatch):
    monkeypatch.setattr(sensitivity, "dequantized", lambda parts, dtype, how: np.inf)
    with pytest.raises(
        ConvertError, match=r"adapter\.w_in: the output is not finite with affine 3 bit / 64;"
    ):
        new().measure({"adapter.w_in": [HOW]})


def test_an_interrupted_measurement_goes_on_but_not_with_other_facts(new, tmp_path):
    wanted = {module: [HOW] for module in MODULES}
    state = tmp_path / "state.json"

    class StoppedError(Exception):
        pass

    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        new(state, tokens="some").measure(wanted, stop)
    content = state.read_text()
    known = f'"{MODULES[0]}"'
    assert known in content
    state.write_text(content.replace('"3/64": ', '"3/64": 7'))  # to see that it is used
    resumed = new(state, tokens="some").measure(wanted)
    assert resumed[MODULES[0]]["3/64"] >= 7
    assert resumed.keys() == wanted.keys()
    fresh = new(state, tokens="others").measure({MODULES[0]: [HOW]})
    assert fresh[MODULES[0]]["3/64"] < 7


def test_moments_that_are_not_kept_come_in_passing(tiny, recordings):
    known = second_moments(Walk(tiny, recordings, sequential=False), lambda n: None)
    passing = InPassing(Walk(tiny, recordings, sequential=False))
    for module in MODULES:
        np.testing.assert_array_equal(passing(module).astype(np.float32), known[input_of(module)])

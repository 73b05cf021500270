"""A model with any changed file opens and transcribes silence, or is refused in one sentence."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx
from voxrun.errors import VoxrunError
from voxrun.transcriber import Transcriber

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from small_models import random_tensors, small_params, write_artifact

FILES = {"config.json": "config", "tekken.json": "tekken", "model.safetensors": "header"}
QUANTIZED = "language_model.layers.0.mlp.up_proj"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model with one quantized matrix."""
    params = small_params()
    tensors = {n: mx.array(a) for n, a in random_tensors(ModelConfig.from_dict(params)).items()}
    packed = mx.quantize(tensors.pop(f"{QUANTIZED}.weight"), 32, 4)
    tensors |= {
        f"{QUANTIZED}.{leaf}": a for leaf, a in zip(("weight", "scales", "biases"), packed, strict=True)
    }
    params["quantization"] = {"bits": 4, "group_size": 32, QUANTIZED: {"bits": 4, "group_size": 32}}
    return write_artifact(tmp_path_factory.mktemp("model"), params, tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_a_changed_file_is_read_or_refused(folder, name, seed):
    path = folder / name
    before = path.read_bytes()
    try:
        path.write_bytes(mutated(FILES[name], before, random.Random(seed)))
        Transcriber.open(folder).session().finish()
    except VoxrunError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(before)

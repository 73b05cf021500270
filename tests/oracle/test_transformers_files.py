"""Folders saved by transformers itself: voxrun finds the weights they were made of, and hears the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np
from committed import CHECKPOINT, CLIPS
from dialect_files import saved
from reference import Oracle
from small_models import random_tensors, small_params, write_mistral

from voxrun.config import ModelConfig
from voxrun.device import mx
from voxrun.dialects import TRANSFORMERS
from voxrun.transcriber import Transcriber
from voxrun.weights import load_model, read_tensors

pytestmark = pytest.mark.oracle


def saved_by_transformers(mistrals: Path, folder: Path, **options: Any) -> Path:
    Oracle(mistrals)._model.save_pretrained(folder, **options)
    shutil.copy(CHECKPOINT / "tekken.json", folder)
    return folder


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "3MB"}], ids=["one file", "shards"])
def test_tiny_hears_the_same(tmp_path: Path, options: dict[str, str]) -> None:
    folder = saved_by_transformers(CHECKPOINT, tmp_path, **options)
    assert len(list(folder.glob("*.safetensors"))) > len(options)
    heard = Transcriber.open(folder).transcribe(CLIPS / "prompts" / "vm-leavemsg.flac")
    assert heard.text.strip() == "press five to leave a message"
    found, expected = read_tensors(folder), read_tensors(CHECKPOINT)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name].astype(mx.float32)) for name in expected)


def test_awkward_sizes_are_read_from_its_configuration(tmp_path: Path) -> None:
    encoder = {"sliding_window": 20, "rope_theta": 5e5}
    params = small_params(encoder=encoder, ada_rms_norm_t_cond_dim=32, sliding_window=50)
    config = ModelConfig.from_dict(params)
    tensors = random_tensors(config)
    folder = saved_by_transformers(write_mistral(tmp_path / "mistral", params, tensors), tmp_path / "theirs")
    assert load_model(folder).config == config
    found = read_tensors(folder)
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


def test_the_committed_configuration_is_what_it_saves(tmp_path: Path) -> None:
    folder = saved_by_transformers(CHECKPOINT, tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    changing = ("transformers_version", "dtype")
    ours = saved(TRANSFORMERS)
    assert all(config[key] == ours[key] for key in ours if key not in changing)

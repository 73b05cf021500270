"""Folders saved by transformers itself: voxrun finds the weights they were made of, and hears the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np
from committed import CHECKPOINT, CLIPS, SHOWN, SHOWN_TEXT
from dialect_files import saved, write_folder
from reference import Oracle
from small_models import random_tensors, small_params, write_mistral
from transformers import AutoProcessor, VoxtralRealtimeForConditionalGeneration

from voxbuild.convert.views import write_view
from voxbuild.recipes.loaders import TRANSFORMERS_LOADER
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import TRANSFORMERS, VOXMLX
from voxrun.device import mx
from voxrun.model.load import load_model, read_folder
from voxrun.transcriber import Transcriber

pytestmark = pytest.mark.oracle


def saved_by_transformers(mistrals: Path, folder: Path, **options: Any) -> Path:
    Oracle(mistrals)._model.save_pretrained(folder, **options)
    shutil.copy(CHECKPOINT / "tekken.json", folder)
    return folder


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "3MB"}], ids=["one file", "shards"])
def test_tiny_hears_the_same(tmp_path: Path, options: dict[str, str]) -> None:
    folder = saved_by_transformers(CHECKPOINT, tmp_path, **options)
    assert len(list(folder.glob("*.safetensors"))) > len(options)
    heard = Transcriber.open(folder).transcribe(CLIPS / f"{SHOWN}.flac")
    assert heard.text.strip() == SHOWN_TEXT
    found, expected = read_folder(folder)[1], read_folder(CHECKPOINT)[1]
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name].astype(mx.float32)) for name in expected)


def test_awkward_sizes_are_read_from_its_configuration(tmp_path: Path) -> None:
    encoder = {"sliding_window": 20, "rope_theta": 5e5}
    params = small_params(encoder=encoder, ada_rms_norm_t_cond_dim=32, sliding_window=50)
    config = ModelConfig.from_dict(params)
    tensors = random_tensors(config)
    folder = saved_by_transformers(write_mistral(tmp_path / "mistral", params, tensors), tmp_path / "theirs")
    assert load_model(folder).config == config
    found = read_folder(folder)[1]
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


def test_the_committed_configuration_is_what_it_saves(tmp_path: Path) -> None:
    folder = saved_by_transformers(CHECKPOINT, tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    changing = ("transformers_version", "dtype")
    ours = saved(TRANSFORMERS)
    assert all(config[key] == ours[key] for key in ours if key not in changing)


def test_it_loads_a_view_with_every_weight_in_its_place(tmp_path: Path) -> None:
    params = small_params(encoder={"sliding_window": 20}, ada_rms_norm_t_cond_dim=32, sliding_window=50)
    tensors = random_tensors(ModelConfig.from_dict(params))
    artifact = write_folder(tmp_path / "artifact", VOXMLX, params, tensors)
    (artifact / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(tensors, "model.safetensors")})
    )
    (view := tmp_path / "view").mkdir()
    write_view(TRANSFORMERS_LOADER, artifact, view, lambda done: None)
    kind = VoxtralRealtimeForConditionalGeneration
    model, told = kind.from_pretrained(view, output_loading_info=True)
    assert not any(told.values())
    oracle = Oracle(write_mistral(tmp_path / "mistral", params, tensors))._model
    expected = oracle.state_dict()
    assert model.state_dict().keys() == expected.keys()
    assert all(np.array_equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    for part, unused in (("text_config", ["dtype"]), ("audio_config", ["dtype", "vocab_size"])):
        found, wanted = (getattr(m.config, part).to_dict() | dict.fromkeys(unused) for m in (model, oracle))
        assert found == wanted
    assert AutoProcessor.from_pretrained(view).feature_extractor.sampling_rate == 16000

"""A model's folder is read once: no answer about it is looked for twice."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT
from small_models import random_tensors, small_params, write_artifact

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import Layout
from voxrun.model.load import load_model


def test_loading_reads_each_json_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside Mistral's weights config.json also decides whose files are read."""
    params = small_params() | {"quantization": {"bits": 4, "group_size": 32}}
    folder = write_artifact(tmp_path, params, random_tensors(ModelConfig.from_dict(params)))
    (folder / "consolidated.safetensors").touch()
    opened: Counter[str] = Counter()
    genuine = os.open

    def counted(path: Any, *rest: Any, **more: Any) -> int:
        opened[Path(os.fspath(path)).name] += 1
        return genuine(path, *rest, **more)

    monkeypatch.setattr(os, "open", counted)
    load_model(folder)
    assert {name: n for name, n in opened.items() if name.endswith(".json")} == {"config.json": 1}


def test_a_layout_names_the_files_that_are_loaded() -> None:
    layout = Layout(CHECKPOINT)
    assert layout.is_mistrals
    assert layout.is_complete
    assert [path.name for path in layout.weight_files] == ["consolidated.safetensors"]
    assert layout.dialect.name == "mistral"
    assert layout.loaded_names == {"params.json", "tekken.json", "consolidated.safetensors"}

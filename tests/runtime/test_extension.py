"""A dialect, a config format, an output format and an audio source are each one new piece in one place."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from dialect_files import write_folder
from small_models import random_tensors, small_params

from voxrun.arrays import FloatArray
from voxrun.audio.source import Source
from voxrun.checkpoint import config_formats, dialects
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import Layout
from voxrun.cli import sources
from voxrun.cli.main import main
from voxrun.device import tree_flatten
from voxrun.model.load import load_model
from voxrun.transcripts.typesetting.segments import Segment
from voxrun.transcripts.writer import Writer
from voxrun.transcripts.writers import WRITERS

CLIP = CLIPS / "prompts" / "please-try-again.flac"


@pytest.mark.usefixtures("mlx_layers")
def test_a_dialect_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple((ours, f"net/{ours.replace('attention', 'attn')}") for ours, _ in dialects.VOXMLX.rows)
    mine = dialects.Dialect("mine", rows, rotary_halves=True)
    monkeypatch.setattr(dialects, "DIALECTS", (*dialects.DIALECTS, mine))

    params = small_params()
    tensors = random_tensors(ModelConfig.from_dict(params))
    folder = write_folder(tmp_path, mine, params, tensors)
    assert Layout(folder).dialect is mine
    loaded: dict[str, Any] = dict(tree_flatten(load_model(folder).parameters()))
    assert all(np.array_equal(np.array(loaded[name]), tensors[name]) for name in tensors)


def test_a_config_format_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {name: f"voxtral.{path}".rstrip(".") for name, path in config_formats.MISTRAL.sections.items()}
    mine = replace(config_formats.MISTRAL, marker="voxtral", sections=sections, fixed={})
    monkeypatch.setattr(config_formats, "FORMATS", (*config_formats.FORMATS, mine))

    (tmp_path / "config.json").write_text(json.dumps({"voxtral": small_params()}), encoding="utf-8")
    assert Layout(tmp_path).config == ModelConfig.from_dict(small_params())


def test_an_output_format_is_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Csv(Writer):
        about = "a row for each segment"

        def segment(self, segment: Segment) -> str:
            return f"{segment.start:.1f},{segment.end:.1f},{segment.text}\n"

    monkeypatch.setitem(WRITERS, "csv", Csv)

    arguments = ["--model", str(CHECKPOINT), "--audio", str(CLIP), "--output"]
    assert main([*arguments, str(tmp_path / "talk.csv")]) == 0  # chosen by the suffix
    assert main([*arguments, f"{tmp_path}/", "--format", "csv"]) == 0
    for name in ("talk.csv", f"{CLIP.stem}.csv"):
        assert (tmp_path / name).read_text(encoding="utf-8").endswith(",please try again\n")


def test_an_audio_source_is_a_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Clip(Source):
        live = False

        def __init__(self, rate: int) -> None:
            super().__init__("clip", rate)

        def _blocks(self) -> Iterator[FloatArray]:
            yield from soundfile.blocks(CLIP, blocksize=4000, dtype="float32")

    others = sources.recording
    monkeypatch.setattr(
        sources,
        "recording",
        lambda name, choice: sources.Input(name, False, Clip) if name == "clip:" else others(name, choice),
    )

    assert main(["--model", str(CHECKPOINT), "--audio", "clip:", str(CLIP)]) == 0
    assert capsys.readouterr().out == "please try again\n" * 2

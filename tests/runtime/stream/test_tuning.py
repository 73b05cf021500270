"""The table by device, and the file that may replace it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from committed import CHECKPOINT
from patience import PATIENCE

from voxrun import device
from voxrun.errors import VoxrunError
from voxrun.model.decoder import DecoderBlock
from voxrun.stream import tuning as tuning_module
from voxrun.stream.tuning import TUNINGS, tuning
from voxrun.transcriber import Transcriber


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"architecture": "applegpu_g13g", "device_name": "Apple M1"}, "M1 and M2"),
        ({"architecture": "applegpu_g14d", "device_name": "Apple M2 Ultra"}, "M1 and M2"),
        ({"architecture": "applegpu_g15s", "device_name": "Apple M3 Max"}, "M3 and later"),
        ({"architecture": "applegpu_g17s", "device_name": "Apple M5 Max"}, "M3 and later"),
        ({"architecture": "sm_90", "device_name": "NVIDIA H100 80GB HBM3"}, "CUDA"),
        ({"device_name": "NVIDIA H100 80GB HBM3"}, "CUDA"),
    ],
)
def test_a_gpu_is_known_by_its_architecture(
    info: dict[str, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOXRUN_TUNING", raising=False)
    assert device.device_kind() == "CPU"
    monkeypatch.setattr(device, "on_cpu", lambda: False)
    monkeypatch.setattr(device.mx, "device_info", lambda: info)
    assert device.device_kind() == kind
    assert tuning() == TUNINGS[kind]


def test_another_row_or_a_file_may_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXRUN_TUNING", "CUDA")
    assert tuning() == TUNINGS["CUDA"]
    some, all_of_it = tmp_path / "some.json", tmp_path / "all.json"
    some.write_text('{"look_ahead": [1, 7], "source": "mine"}', "utf-8")
    monkeypatch.setenv("VOXRUN_TUNING", str(some))
    assert (tuning().look_ahead, tuning().source) == ((1, 7), "mine")
    monkeypatch.setattr(tuning_module, "device_kind", lambda: "M1 and M2")
    assert tuning().pass_rows == TUNINGS["M1 and M2"].pass_rows != TUNINGS["CPU"].pass_rows
    all_of_it.write_text(json.dumps(asdict(TUNINGS["M3 and later"])), "utf-8")
    monkeypatch.setenv("VOXRUN_TUNING", str(all_of_it))
    assert tuning() == TUNINGS["M3 and later"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "not an object"),
        ('{"rows": 1}', "rows is no value of it; these are: look_ahead, pass_rows"),
        ('{"look_ahead": [4, 8]}', "look_ahead must be a list of growing sizes that begins with 1"),
        ('{"look_ahead": [1, 8, 8]}', "look_ahead must be a list"),
        ('{"look_ahead": 8}', "look_ahead must be a list"),
        ('{"look_ahead": [1, "8"]}', "look_ahead must be a whole number"),
        ('{"pass_rows": 0}', "pass_rows must be from 1 to 4096, not 0"),
        ('{"prompt_rows": 4097}', "prompt_rows must be from 1 to 4096, not 4097"),
        ('{"look_ahead": [1, 4097]}', "look_ahead must be from 1 to 4096, not 4097"),
        ('{"files_positions": 1e3}', "files_positions must be a whole number"),
        ('{"rounding": {"float32": 0.1}}', "rounding must have a share"),
        ('{"rounding": {"float32": 1, "float16": 0, "bfloat16": 0}}', "rounding must have a share"),
        ('{"compiled": 1}', "compiled must be true or false"),
        ('{"source": 1}', "source must be a text"),
    ],
)
def test_what_is_neither_is_an_error(
    text: str | None, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tuning.json"
    if text is not None:
        path.write_text(text, "utf-8")
    monkeypatch.setenv("VOXRUN_TUNING", str(path))
    with pytest.raises(
        VoxrunError, match=r"^VOXRUN_TUNING=.*tuning.json: .*M1 and M2.*or a JSON file"
    ) as error:
        tuning()
    assert what in str(error.value)


def test_each_kind_of_device_has_a_row() -> None:
    assert tuning_module.from_json({}, TUNINGS["CPU"]) == TUNINGS["CPU"]
    for each in TUNINGS.values():
        assert tuning_module.from_json(json.loads(json.dumps(asdict(each))), TUNINGS["CPU"]) == each
        assert each.source


def test_a_choice_that_goes_wrong_in_between_ends_the_session_that_meets_it(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLX's thread goes on, or all sessions would wait for ever."""
    monkeypatch.delenv("VOXRUN_TUNING", raising=False)
    session, samples = transcriber.session(), np.zeros(16000, np.float32)
    monkeypatch.setenv("VOXRUN_TUNING", "absent.json")
    with pytest.raises(VoxrunError, match=r"VOXRUN_TUNING=absent\.json: No such file"):
        session.feed_later(samples).result(timeout=PATIENCE)
    monkeypatch.delenv("VOXRUN_TUNING")
    transcriber.session().feed_later(samples).result(timeout=PATIENCE)


@pytest.mark.slow
@pytest.mark.usefixtures("mlx_layers")
def test_compiled_passes_give_the_same_tokens(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers are called to trace a pass, and for the prompt, and no more."""
    calls, block = 0, DecoderBlock.__call__

    def call(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return block(*args)

    monkeypatch.setattr(DecoderBlock, "__call__", call)
    found = []
    for compiled in (False, True):
        (tmp_path / "tuning.json").write_text(json.dumps({"compiled": compiled, "source": str(compiled)}))
        monkeypatch.setenv("VOXRUN_TUNING", str(tmp_path / "tuning.json"))
        tuning_module._chosen.cache_clear()
        calls = 0
        transcript = Transcriber.load(CHECKPOINT).transcribe(clip)
        found.append((transcript, calls))
    (plain, without), (ours, traced) = found
    assert ours == plain
    assert traced <= without / 2

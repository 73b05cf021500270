"""A model on a CPU computes from the mapped file, and what MLX computes with the same weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from committed import CHECKPOINT, CLIPS
from comparison import error

from voxrun.device import mx, tree_flatten
from voxrun.model.cpu import layers
from voxrun.model.load import load_model
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.transcriber import Transcriber

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def own_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    monkeypatch.delenv("VOXRUN_KERNELS", raising=False)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model counts as one that is not unpacked."""
    monkeypatch.setattr(layers, "SMALL_MODEL", 0)


def answers(model: VoxtralRealtime) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    mel = mx.array(random.normal(size=(800, 128)).astype(np.float32))
    audio = model.encode(mel, model.encoder_state())
    gains, caches = model.gains(6), model.decoder_caches()
    hidden = [
        model.decode(mx.arange(40), audio[:, :40], gains, caches),
        model.decode(mx.array([900]), audio[:, 40:41], gains, caches),
    ]
    return [np.array(x) for x in (audio, *map(model.language_model.logits, hidden))]


@pytest.mark.slow
@pytest.mark.parametrize("small", [0, layers.SMALL_MODEL], ids=["mapped", "unpacked"])
def test_our_layers_answer_as_mlxs(monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    monkeypatch.setattr(layers, "SMALL_MODEL", small)
    ours = answers(load_model(CHECKPOINT))
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    for own, mlxs in zip(ours, answers(load_model(CHECKPOINT)), strict=True):
        assert error(own, mlxs) < 5e-6


def test_a_small_model_is_ready_without_a_compiler() -> None:
    code = f"""
import sys
from pathlib import Path
from voxrun.transcriber import Transcriber
heard = Transcriber.open("{CHECKPOINT}").transcribe("{CLIPS}/prompts/please-try-again.flac")
print(heard.text, "numba" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "please try again False\n"


def test_without_numba_mlx_computes_a_large_model(monkeypatch: pytest.MonkeyPatch, large: None) -> None:
    monkeypatch.setattr(layers, "find_spec", lambda name: None)
    assert "weight" in load_model(CHECKPOINT).language_model.embed_tokens


def test_no_matrix_is_copied(large: None) -> None:
    model = load_model(CHECKPOINT)
    left = {name: array.size for name, array in tree_flatten(model.parameters())}
    assert max(left.values()) < 2000, left  # norms and biases
    stored = model.language_model.embed_tokens._stored.packed
    assert not stored.flags.owndata
    assert not stored.flags.writeable  # it lies in the file, read only


def test_a_file_that_is_replaced_does_not_disturb_a_loaded_model(
    tmp_path: Path, samples: np.ndarray, large: None
) -> None:
    """Artifacts are replaced by renaming: the old file lives as long as it is mapped."""
    for path in CHECKPOINT.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    transcriber = Transcriber.open(tmp_path)
    weights = tmp_path / "consolidated.safetensors"
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").replace(weights)
    session = transcriber.session()
    assert "please try again" in "".join(map(str, [session.feed(samples), session.finish()]))

"""Fixtures: the embedded tiny model, loaded once, and a clip of a second."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from fake_device import FakeDevice

from voxrun.device import mx
from voxrun.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

# The oracle's figures are float32's: a GPU would compute in the stored dtype.
mx.set_default_device(mx.cpu)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The command line takes the signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def mlx_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models whose weights are parameters, on a CPU too."""
    monkeypatch.setenv("VOXRUN_KERNELS", "none")


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    return Transcriber.open(CHECKPOINT)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(CHECKPOINT)


@pytest.fixture(scope="session")
def clip() -> Path:
    """1.2 s: "please try again"."""
    return CLIPS / "prompts" / "please-try-again.flac"


@pytest.fixture(scope="session")
def samples(clip: Path) -> np.ndarray:
    return soundfile.read(clip, dtype="float32")[0]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    """A sound device that is not there, in the place of every real one."""
    device = FakeDevice()
    device.install(monkeypatch)
    return device

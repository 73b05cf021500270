"""Fixtures: the embedded tiny model, loaded once, and a clip of a second."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from fake_device import FakeDevice
from keys import write_keys
from signed_models import sign, write_artifact

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

# The oracle's figures are float32's: a GPU would compute in the stored dtype.
mx.set_default_device(mx.cpu)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-recordings", action="store_true", help="write docs/recordings.md anew")
    parser.addoption("--write-clients", action="store_true", help="write docs/clients.md anew")


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The command line takes the signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def mlx_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models whose weights are parameters, on a CPU too, under their own names."""
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    monkeypatch.setattr(VoxtralRealtime, "fuse", lambda model: None)


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


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public half."""
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def public(keys: tuple[Path, Path]) -> Path:
    return keys[1]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """A small signed artifact. Change only copies."""
    folder = write_artifact(tmp_path_factory.mktemp("signed") / "small")
    sign(folder, keys[0])
    return folder


@pytest.fixture
def signed(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "signed"))


@pytest.fixture
def unsigned(signed: Path) -> Path:
    (signed / "model.sig").unlink()
    return signed

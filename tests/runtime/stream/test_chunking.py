"""Chunk sizes must not change anything: tokens, words and text are those of all samples at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cases import MODELS, chirps, folder_of, noise
from comparison import heard
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrun.stream.results import Transcript
from voxrun.stream.tokenizer import harmless
from voxrun.transcriber import Transcriber

SIZES = [1, 480, 1280]
DELAYS = [80, 480, 960, 2400]
Sound = Callable[[int], np.ndarray]
SOUNDS: list[Sound] = [noise, chirps, lambda n: np.zeros(n, np.float32)]


def in_chunks(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(samples, range(size, len(samples), size))


@pytest.fixture(scope="module")
def at_once(transcriber: Transcriber, samples: np.ndarray) -> Transcript:
    transcript = heard(transcriber.session(), [samples])
    assert transcript.text == "please try again"
    return transcript


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("live", [False, True])
def test_equal_chunks(
    transcriber: Transcriber, samples: np.ndarray, at_once: Transcript, size: int, live: bool
) -> None:
    assert heard(transcriber.session(live=live), in_chunks(samples, size)) == at_once


@pytest.mark.slow
@settings(derandomize=True, max_examples=6)
@given(ends=st.lists(st.integers(0, 20000), max_size=40))
def test_random_chunks(
    transcriber: Transcriber, samples: np.ndarray, at_once: Transcript, ends: list[int]
) -> None:
    assert heard(transcriber.session(), np.split(samples, sorted(ends))) == at_once


def test_a_file_is_a_session_that_is_fed_its_blocks(
    transcriber: Transcriber, clip: Path, at_once: Transcript
) -> None:
    assert transcriber.transcribe(clip) == at_once


@pytest.fixture(scope="module", params=MODELS)
def random_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    """It says something else at almost every position, and broken characters."""
    return Transcriber.open(folder_of(request.param, tmp_path_factory.mktemp("model")))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_equal_chunks_of_any_model(random_model: Transcriber, size: int) -> None:
    sound = noise(20011)
    whole = heard(random_model.session(), [sound])
    assert len(set(whole.tokens)) > 5
    assert heard(random_model.session(), in_chunks(sound, size)) == whole


@pytest.mark.slow
@settings(derandomize=True, max_examples=12)
@given(
    n=st.integers(0, 40000),
    sound=st.sampled_from(SOUNDS),
    delay_ms=st.sampled_from(DELAYS),
    live=st.booleans(),
    ends=st.lists(st.integers(0, 40000), max_size=40),
)
def test_random_chunks_of_any_audio_and_model(
    random_model: Transcriber, n: int, sound: Sound, delay_ms: int, live: bool, ends: list[int]
) -> None:
    samples = sound(n)
    whole = heard(random_model.session(delay_ms=delay_ms, live=live), [samples])
    pieces = heard(random_model.session(delay_ms=delay_ms, live=live), np.split(samples, sorted(ends)))
    assert pieces == whole
    said = b"".join(map(random_model.tokenizer.text_bytes, whole.tokens))
    assert whole.text == harmless(said.decode("utf-8", errors="replace")).strip()

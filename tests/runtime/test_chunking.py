"""Chunk sizes must not change anything: tokens and text are those of all samples at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrun.results import Transcript
from voxrun.transcriber import Transcriber


def transcribe(transcriber: Transcriber, chunks: list[np.ndarray], live: bool = False) -> Transcript:
    session = transcriber.session(live=live)
    results = [*map(session.feed, chunks), session.finish()]
    return Transcript.of(results, session.seconds)


@pytest.fixture(scope="module")
def at_once(transcriber: Transcriber, samples: np.ndarray) -> Transcript:
    transcript = transcribe(transcriber, [samples])
    assert transcript.text.strip() == "please try again"
    return transcript


@pytest.mark.parametrize("size", [1, 480, 1280])
@pytest.mark.parametrize("live", [False, True])
def test_equal_chunks(
    transcriber: Transcriber, samples: np.ndarray, at_once: Transcript, size: int, live: bool
) -> None:
    chunks = np.split(samples, range(size, len(samples), size))
    assert transcribe(transcriber, chunks, live) == at_once


@settings(deadline=None, derandomize=True, max_examples=6)
@given(ends=st.lists(st.integers(0, 20000), max_size=40))
def test_random_chunks(
    transcriber: Transcriber, samples: np.ndarray, at_once: Transcript, ends: list[int]
) -> None:
    assert transcribe(transcriber, np.split(samples, sorted(ends))) == at_once

"""Teacher-forced logits agree with what a session says, block by block."""

import numpy as np
import pytest

from voxrun.device import mx
from voxrun.stream import scoring
from voxrun.stream.results import Transcript
from voxrun.stream.schedule import Schedule
from voxrun.transcriber import Transcriber


@pytest.mark.parametrize(("block", "delay_ms"), [(7, 480), (39, 160), (256, 480)])
def test_the_best_logits_are_the_greedy_tokens(
    transcriber: Transcriber,
    samples: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    delay_ms: int,
) -> None:
    session = transcriber.session(delay_ms=delay_ms)
    results = [session.feed(samples), session.finish()]
    tokens = Transcript.of(results, session.seconds).tokens
    monkeypatch.setattr(scoring, "BLOCK", block)
    blocks = scoring.teacher_forced_logits(
        transcriber.model, transcriber.tokenizer, samples, tokens, delay_ms
    )
    logits = np.concatenate(list(blocks))
    assert logits.shape == (len(tokens), 1024)
    assert logits.argmax(axis=1).tolist() == tokens


def test_there_is_an_embedding_for_each_position(transcriber: Transcriber, samples: np.ndarray) -> None:
    schedule = Schedule.for_delay(transcriber.model.config.audio, transcriber.tokenizer, 480)
    audio = scoring.embed_audio(transcriber.model, schedule, samples)
    assert audio.shape == (1, 32 + 16 + 6 + 11, 256)

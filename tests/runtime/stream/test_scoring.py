"""Teacher-forced logits agree with what a session says, block by block."""

import numpy as np
import pytest

from voxrun.stream import scoring
from voxrun.stream.decoding import one_pass
from voxrun.stream.results import Transcript
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
    recording = scoring.Scorer(transcriber.model, transcriber.tokenizer).hear(samples, 480)
    assert recording.audio.shape == (1, 32 + 16 + 6 + 11, 256)


def written(recording: scoring.Recording, given: list[int]) -> list[int]:
    """The model's own tokens of a recording that was compared with given ones."""
    for _ in recording.logits(given):
        pass
    generator = recording.generator
    tokens = list(given[: generator.n_tokens] if generator else given)
    while generator and not generator.over:
        (take,) = one_pass(recording.scorer.model, [generator])
        tokens += [id for id, _ in take()]
    return tokens


@pytest.mark.parametrize("delay_ms", [480, 160])
@pytest.mark.parametrize("block", [9, 256])
def test_a_recording_is_written_the_same_whatever_it_is_compared_with(
    transcriber: Transcriber,
    samples: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    delay_ms: int,
) -> None:
    monkeypatch.setattr(scoring, "BLOCK", block)
    session = transcriber.session(delay_ms=delay_ms)
    tokens = Transcript.of([session.feed(samples), session.finish()], session.seconds).tokens
    scorer, pad = scoring.Scorer(transcriber.model, transcriber.tokenizer), transcriber.tokenizer.pad
    spoken = next(i for i, token in enumerate(tokens) if token != pad)
    others = [
        tokens,
        [pad] * len(tokens),
        [*tokens[: spoken + 1], 999, *tokens[spoken + 2 :]],
        [*tokens[:-1], 999],
        [999, *tokens[1:]],
        [*tokens[:spoken], transcriber.tokenizer.eos],
        tokens[: spoken + 1],
    ]
    for given in others:
        recording = scorer.hear(samples, delay_ms)
        assert written(recording, given) == tokens
        assert (recording.generator is None) == (given == tokens)


def test_scores_do_not_depend_on_what_was_scored_before(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    scorer = scoring.Scorer(transcriber.model, transcriber.tokenizer)
    tokens = [transcriber.tokenizer.pad] * 26
    first = np.concatenate(list(scorer.hear(samples, 480).logits(tokens)))
    for delay_ms in (160, 480):
        list(scorer.hear(samples[::-1].copy(), delay_ms).logits(tokens[: 26 - (480 - delay_ms) // 80]))
    assert np.concatenate(list(scorer.hear(samples, 480).logits(tokens))).tobytes() == first.tobytes()

"""feed, flush, finish: what a session does with the model's tokens, for files and live."""

import math

import numpy as np
import pytest
from scripted import ScriptedModel

from voxrun.errors import VoxrunError
from voxrun.session import BLOCK_POSITIONS, Listener, Session
from voxrun.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

EOS, PAD, WORD = 2, 32, 33
SECOND = np.zeros(16000, np.float32)


def letters(text: str) -> list[int]:
    return [64 + byte for byte in text.encode()]


@pytest.mark.parametrize("delay_ms", [80, 480, 2400])
@pytest.mark.parametrize("n", [0, 1, 1279, 1280, 1281, 40000])
def test_a_file_yields_a_token_for_each_position_after_the_prompt(
    tokenizer: Tokenizer, delay_ms: int, n: int
) -> None:
    model = ScriptedModel([])
    session = Session(model, tokenizer, delay_ms=delay_ms)
    session.feed(np.zeros(n, np.float32))
    transcript = session.finish()
    n_delay = delay_ms // 80
    assert len(transcript.tokens) == math.ceil(n / 1280) + 10
    assert transcript.seconds == n / 16000
    assert model.fed[0] == [1] + [PAD] * (32 + n_delay)
    assert all(step == [PAD] for step in model.fed[1:])
    assert model.positions == 33 + n_delay + len(transcript.tokens) - 1


def test_text_comes_with_the_feed_that_completed_it(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([PAD, WORD, *letters("né")])
    session = Session(model, tokenizer, delay_ms=80)
    said = [session.feed(np.zeros(1280, np.float32)) for _ in range(8)]
    # Position 33 is the prompt's last; 40 samples of look-ahead keep each position back by one feed.
    assert [index for index, text in enumerate(said) if text] == [4, 6]
    assert "".join(said) == session.text == "né"


def test_eos_ends_a_file(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([*letters("ab"), EOS, *letters("cd")])
    session = Session(model, tokenizer)
    assert session.feed(SECOND) + session.feed(SECOND) == "ab"
    assert session.finish().tokens == [*letters("ab"), EOS]
    assert session.finish().seconds == 2


def test_eos_is_a_pause_of_a_live_session(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([*letters("ab"), EOS, *letters("cd")])
    session = Session(model, tokenizer, live=True)
    session.feed(SECOND)
    transcript = session.finish()
    assert transcript.text == "abcd"
    assert len(transcript.tokens) == 23
    assert model.fed[1:6] == [[token] for token in [*letters("ab"), PAD, *letters("cd")]]


def test_a_broken_character_at_the_end_is_marked(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel(letters("a") + letters("€")[:2]), tokenizer)
    assert session.feed(SECOND) == "a"
    assert session.finish().text == "a\ufffd"


def test_finish_twice_is_harmless(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel(letters("ab")), tokenizer)
    session.feed(SECOND)
    first = session.finish()
    text, tokens = first.text, list(first.tokens)
    second = session.finish()
    assert (second.text, second.tokens, second.seconds) == (text, tokens, 1.0)
    with pytest.raises(VoxrunError, match="the session is finished"):
        session.feed(SECOND)
    assert session.finish().tokens == tokens


@pytest.mark.parametrize("samples", [np.zeros(8, np.int16), np.zeros((8, 2), np.float32)])
def test_what_is_not_mono_floats_is_refused(tokenizer: Tokenizer, samples: np.ndarray) -> None:
    with pytest.raises(VoxrunError, match="mono floats"):
        Session(ScriptedModel([]), tokenizer).feed(samples)


def test_a_sample_that_is_not_finite_is_silence(transcriber: Transcriber, samples: np.ndarray) -> None:
    broken = np.concatenate([np.array([np.nan, np.inf, 0.0], np.float32), samples])
    silent = np.concatenate([np.zeros(3, np.float32), samples])
    sessions = [transcriber.session() for _ in range(2)]
    for session, audio in zip(sessions, (broken, silent), strict=True):
        session.feed(audio)
    assert sessions[0].finish().tokens == sessions[1].finish().tokens


def test_flush_brings_out_the_words_behind_the_delay_and_the_stream_goes_on(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    whole = transcriber.session()
    whole.feed(samples)
    expected = whole.finish().text
    session = transcriber.session(live=True)
    before = session.feed(samples)
    assert len(before) < len(expected)
    assert before + session.flush() == expected == session.text
    session.feed(samples)
    transcript = session.finish()
    assert transcript.text.startswith(expected)
    assert len(transcript.text) > len(expected)
    assert transcript.seconds == pytest.approx(2 * len(samples) / 16000)


def test_flush_fills_up_to_whole_positions(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([])
    session = Session(model, tokenizer)
    session.feed(np.zeros(1000, np.float32))
    session.flush()
    assert model.positions == 32 + 1 + 17 - 1  # the last position waits for 40 samples of look-ahead
    assert session.finish().seconds == 1000 / 16000
    assert model.positions == 32 + 18 + 17 - 1  # the last token is nobody's input


def test_sampling_follows_its_seed(transcriber: Transcriber, samples: np.ndarray) -> None:
    def tokens(**options: float) -> list[int]:
        session = transcriber.session(**options)
        session.feed(samples)
        return session.finish().tokens

    first = tokens(temperature=3.0, seed=7)
    assert tokens(temperature=3.0, seed=7) == first
    assert tokens(temperature=3.0, seed=8) != first
    assert tokens(temperature=0.0, seed=7) != first


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_an_impossible_temperature_is_refused(tokenizer: Tokenizer, temperature: float) -> None:
    with pytest.raises(VoxrunError, match=r"temperature of .* is not possible"):
        Session(ScriptedModel([]), tokenizer, temperature=temperature)


def test_memory_is_bounded_however_much_is_fed_at_once(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([])
    longest = 0
    encode = model.encode

    def watched(mel: np.ndarray, state: None) -> object:
        nonlocal longest
        longest = max(longest, mel.shape[0])
        return encode(mel, state)

    model.encode = watched
    minute = np.zeros(16000 * 60, np.float32)
    Session(model, tokenizer).feed(minute)
    assert longest == BLOCK_POSITIONS * 8
    assert max(block.shape[1] for block in Listener(model).feed(minute)) == BLOCK_POSITIONS

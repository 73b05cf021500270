"""feed, flush, finish: what a session does with the model's tokens, for files and live."""

import math
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedModel

from voxrun.arrays import as_floats
from voxrun.errors import AudioError, VoxrunError
from voxrun.stream.listener import Listener
from voxrun.stream.results import Transcript
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.tuning import tuning
from voxrun.transcriber import Transcriber

EOS, PAD, WORD = 2, 32, 33
SECOND = np.zeros(16000, np.float32)


def letters(text: str) -> list[int]:
    return [64 + byte for byte in text.encode()]


def heard(session: Session, *chunks: np.ndarray) -> Transcript:
    """Feed, finish, and all that came out."""
    results = [session.feed(chunk) for chunk in chunks]
    return Transcript.of([*results, session.finish()], session.seconds)


@pytest.mark.parametrize("delay_ms", [80, 480, 2400])
@pytest.mark.parametrize("n", [0, 1, 1279, 1280, 1281, 40000])
def test_a_file_yields_a_token_for_each_position_after_the_prompt(
    tokenizer: Tokenizer, delay_ms: int, n: int
) -> None:
    model = ScriptedModel([])
    transcript = heard(Session(model, tokenizer, delay_ms=delay_ms), np.zeros(n, np.float32))
    n_delay = delay_ms // 80
    assert len(transcript.tokens) == math.ceil(n / 1280) + 10
    assert transcript.seconds == n / 16000
    assert model.history[: model.prompt_length] == [1] + [PAD] * (32 + n_delay)
    assert model.inputs == [PAD] * (len(transcript.tokens) - 1)


def test_text_comes_with_the_feed_that_completed_it(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([PAD, WORD, *letters("né")])
    session = Session(model, tokenizer, delay_ms=80)
    said = [session.feed(np.zeros(1280, np.float32)) for _ in range(8)]
    # Position 33 is the prompt's last; 40 samples of look-ahead keep each position back by one feed.
    assert [index for index, result in enumerate(said) if result.text] == [4, 6]
    assert [result.partial for result in said[4:8]] == ["n", "n", "né", "né"]
    assert "".join(map(str, said)) == "né"


def test_eos_ends_a_file(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel([*letters("ab"), EOS, *letters("cd")]), tokenizer)
    transcript = heard(session, SECOND, SECOND)
    assert (transcript.text, transcript.seconds) == ("ab", 2)
    assert transcript.tokens == [*letters("ab"), EOS]


def test_eos_is_a_pause_of_a_live_session(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([*letters("ab"), EOS, *letters("cd")])
    transcript = heard(Session(model, tokenizer, live=True), SECOND)
    assert transcript.text == "abcd"
    assert [word.text for word in transcript.words] == ["ab", "cd"]
    assert len(transcript.tokens) == 23
    assert model.inputs[:5] == [*letters("ab"), PAD, *letters("cd")]


def test_a_broken_character_at_the_end_is_marked(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel(letters("a") + letters("€")[:2]), tokenizer)
    assert session.feed(SECOND).text == "a"
    end = session.finish()
    assert end.text == "\ufffd"
    assert [word.text for word in end.words] == ["a", "\ufffd"]


def test_finish_twice_is_harmless(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel(letters("ab")), tokenizer)
    session.feed(SECOND)
    assert session.finish().tokens
    assert not session.finish()
    for late in (lambda: session.feed(SECOND), session.flush):
        with pytest.raises(VoxrunError, match="the session is finished"):
            late()
    assert not session.finish()


INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
REFUSED = {
    "list": [0.0],
    "bytes": bytes(8),
    "none": None,
    "stereo": np.zeros((8, 2), np.float32),
    "one number": np.float32(0),
    "no axis": np.array(0.0),
    "boolean": np.zeros(8, bool),
    "complex": np.zeros(8, complex),
    "text": np.array(["0"]),
    "objects": np.array([0.0], object),
    "dates": np.zeros(8, "datetime64[s]"),
}


@pytest.mark.parametrize("samples", REFUSED.values(), ids=REFUSED)
def test_what_is_no_array_of_mono_samples_is_refused(tokenizer: Tokenizer, samples: np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"^(samples must be|a session takes mono samples)"):
        Session(ScriptedModel([]), tokenizer).feed(samples)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.__name__)
def test_integers_of_any_width_are_scaled_by_their_full_range(dtype: type) -> None:
    limits = np.iinfo(dtype)
    middle = 0 if limits.min else (limits.max + 1) // 2
    levels = np.array([limits.min, middle, limits.max], dtype)
    expected = [-1, 0, 1 - 2.0 ** (1 - limits.bits)]
    np.testing.assert_array_equal(as_floats(levels), np.array(expected, np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, ">f4", ">i2", np.int16, np.int32])
def test_samples_of_any_type_give_the_same_tokens(
    transcriber: Transcriber, samples: np.ndarray, dtype: type
) -> None:
    scale = 1 if np.dtype(dtype).kind == "f" else 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    given = (samples.astype(np.float64) * scale).astype(dtype)
    expected = heard(transcriber.session(), given.astype(np.float32) / np.float32(scale))
    assert heard(transcriber.session(), given) == expected
    assert heard(transcriber.session(), given[:, None]) == expected
    assert not transcriber.session(live=True).feed(given[:0])


def test_a_sample_that_is_not_finite_is_silence(transcriber: Transcriber, samples: np.ndarray) -> None:
    broken = np.concatenate([np.array([np.nan, np.inf, 0.0], np.float32), samples])
    silent = np.concatenate([np.zeros(3, np.float32), samples])
    first, second = (heard(transcriber.session(), audio) for audio in (broken, silent))
    assert first.tokens == second.tokens


def test_flush_brings_out_the_words_behind_the_delay_and_the_stream_goes_on(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    expected = heard(transcriber.session(), samples).text
    session = transcriber.session(live=True)
    before = session.feed(samples)
    assert len(before.text) < len(expected)
    flushed = session.flush()
    assert (before.text + flushed.text).strip() == expected
    assert "".join(word.text for word in (*before.words, *flushed.words)).strip() == expected
    more = Transcript.of([session.feed(samples), session.finish()], session.seconds)
    assert len(more.text) > 0
    assert more.seconds == pytest.approx(2 * len(samples) / 16000)


def test_flush_again_repeats_nothing(transcriber: Transcriber, samples: np.ndarray) -> None:
    session = transcriber.session(live=True)
    session.feed(samples)
    assert session.flush()
    assert not session.flush()
    assert not session.feed(samples[:0])
    assert not session.flush()


def test_flush_fills_up_to_whole_positions(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([])
    session = Session(model, tokenizer)
    session.feed(np.zeros(1000, np.float32))
    session.flush()
    assert model.positions == 32 + 1 + 17 - 1  # the last position waits for 40 samples of look-ahead
    session.finish()
    assert session.seconds == 1000 / 16000
    assert model.positions == 32 + 18 + 17 - 1  # the last token is nobody's input


@pytest.mark.slow
def test_sampling_follows_its_seed(transcriber: Transcriber, samples: np.ndarray) -> None:
    def tokens(**options: float) -> list[int]:
        return heard(transcriber.session(**options), samples).tokens

    first = tokens(temperature=3.0, seed=7)
    assert tokens(temperature=3.0, seed=7) == first
    assert tokens(temperature=3.0, seed=7, look_ahead=1) == first
    assert tokens(temperature=3.0, seed=8) != first
    assert tokens(temperature=0.0, seed=7) != first


@pytest.mark.parametrize(
    "options",
    [
        *({"look_ahead": 0}, {"alternatives": -1}, {"seed": -1}, {"seed": 2**32}),
        *({"look_ahead": 1.5}, {"alternatives": 1.5}, {"seed": "a"}, {"seed": None}, {"seed": True}),
        *({"delay_ms": "480"}, {"delay_ms": [480]}, {"temperature": "0"}, {"temperature": np.zeros(2)}),
    ],
    ids=str,
)
def test_impossible_options_are_refused(tokenizer: Tokenizer, options: dict[str, Any]) -> None:
    with pytest.raises(VoxrunError, match=r"must be|not possible"):
        Session(ScriptedModel([]), tokenizer, **options)


def test_numbers_of_numpy_are_numbers(tokenizer: Tokenizer) -> None:
    options = {"delay_ms": np.float32(80), "seed": np.int64(7), "look_ahead": np.uint8(2)}
    assert heard(Session(ScriptedModel([]), tokenizer, **options), SECOND)


def test_a_session_whose_model_failed_says_so_from_then_on(tokenizer: Tokenizer) -> None:
    model = ScriptedModel([])
    session = Session(model, tokenizer)
    model.encode = lambda *_: (_ for _ in ()).throw(MemoryError("full"))
    with pytest.raises(MemoryError, match="full"):
        session.feed(SECOND)
    del model.encode
    for call in (lambda: session.feed(SECOND), session.flush, session.finish, session.finish):
        with pytest.raises(VoxrunError, match=r"^the session has failed \(MemoryError: full\); start"):
            call()


def test_alternatives_are_the_likeliest_tokens_best_first(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    session = transcriber.session(alternatives=3)
    found = [token for result in (session.feed(samples), session.finish()) for token in result.tokens]
    assert [token.id for token in found] == heard(transcriber.session(), samples).tokens
    for token in found:
        assert len(token.alternatives) == 3
        assert token.alternatives[0].id == token.id  # greedy
        odds = [alternative.probability for alternative in token.alternatives]
        assert odds == sorted(odds, reverse=True)
        assert 0 < sum(odds) <= 1.00001


def test_beyond_float32_is_silence(transcriber: Transcriber, samples: np.ndarray) -> None:
    loud = np.concatenate([np.array([1e300, -1e300]), samples.astype(np.float64)])
    silent = np.concatenate([np.zeros(2, np.float32), samples])
    assert heard(transcriber.session(), loud).tokens == heard(transcriber.session(), silent).tokens


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
    assert longest == tuning().block_positions * 8
    assert max(block.shape[1] for block in Listener(model).feed(minute)) == tuning().block_positions

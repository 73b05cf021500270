"""How a checkpoint is measured: errors by minute, shifts of words, disturbances."""

import numpy as np
import pytest

from tiny.training import disturbances, noise
from tiny.training.latency import shifts
from tiny.training.logmel import RATE
from tiny.training.long_stream import Stream, error_rates, long_stream

SPEECH = (3_000 * np.sin(np.arange(2 * RATE) / 5)).astype(np.int16)


class Tekken:
    """Tokens below 100 begin a word."""

    def decode(self, tokens):
        return "".join(" a" if token < 100 else "b" for token in tokens)


def test_errors_belong_to_the_minute_of_their_word():
    stream = Stream(np.zeros(0, np.int16), ["one", "two", "three", "four"], [10, 50, 70, 119])
    assert error_rates(stream, "one two three four") == (0, [0, 0])
    assert error_rates(stream, "one three for") == (50, [50, 50])
    assert error_rates(stream, "one two three four four") == (25, [0, 50])


def test_long_stream_uses_every_clip_before_one_comes_twice():
    clips = {f"{n}.flac": (SPEECH, f"said {n}") for n in range(5)}
    stream = long_stream(clips, 12.5)
    assert sorted(stream.words[1::2][:5]) == list("01234")
    assert len(stream.words) == len(stream.ends)
    assert len(stream.samples) >= 12.5 * RATE
    assert stream.ends[-1] == len(stream.samples) / RATE


def test_shifts_are_counted_at_the_words_both_have():
    one = [[(40, 70), (41, 150), (50, 71), (60, 72)]]
    other = [[(46, 70), (47, 150), (55, 71), (60, 99)]]
    assert shifts(Tekken(), one, other).tolist() == [6, 5]


def test_noise_has_the_level_asked_for():
    speech = SPEECH.astype(np.float32) / 32768
    added = disturbances.noisy(speech, decibels=20) - speech
    loud = speech[np.abs(speech) > 0.01]
    assert 20 * np.log10(added.std() / np.sqrt((loud**2).mean())) == pytest.approx(-20, abs=0.1)
    sounds = disturbances.without_speech()
    assert not sounds["silence"].any()
    assert sounds["white noise at -40 dB"].std() == pytest.approx(0.01, rel=0.01)


@pytest.mark.slow
def test_made_noise_differs_in_colour_and_has_no_level(monkeypatch):
    monkeypatch.setattr(noise, "SECONDS", 2)
    powers = noise.noises.__wrapped__()
    assert powers.shape == (12, 128, 200)
    np.testing.assert_allclose(powers.mean((1, 2)), 0, atol=1e-4)
    tilt = powers[:, 100:].mean((1, 2)) - powers[:, :28].mean((1, 2))
    assert tilt[0] - tilt[3] > 1  # white against brown

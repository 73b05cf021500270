"""What `voxrun bench` hears, the work that it computes from a model's files, and how it takes times."""

from types import SimpleNamespace

import numpy as np
import pytest
from bench_results import spread
from committed import CHECKPOINT, CLIPS

from voxrun.bench import reading, timing
from voxrun.bench.artifact import describe
from voxrun.bench.listening import hear, kinds_of, noise, recording
from voxrun.bench.measure import _position_cost
from voxrun.stream.schedule import Schedule
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber


def test_a_recording_is_heard_as_far_as_it_is_asked_for() -> None:
    assert len(recording(CLIPS / "chains" / "chain-1.flac", 16000, 1.5)) == 24000


def test_the_silence_around_a_signal_is_told_apart(transcriber: Transcriber) -> None:
    audio, tokenizer = transcriber.model.config.audio, transcriber.tokenizer
    schedule = Schedule.for_delay(audio, tokenizer, None)
    heard = hear(transcriber, noise(1.0, transcriber.rate), is_speech=False)
    around = (schedule.left_samples + schedule.right_samples(transcriber.rate)) / transcriber.rate
    assert heard.seconds == 1
    assert heard.padded == pytest.approx(1 + around, abs=2 / audio.frame_rate)
    assert len(heard.kinds) == heard.tokens


def test_an_end_of_stream_token_is_a_pause(tokenizer: Tokenizer) -> None:
    assert kinds_of([tokenizer.pad, tokenizer.eos, tokenizer.word, 1000], tokenizer) == "ppwt"


def test_the_work_for_a_position_follows_from_the_sizes(transcriber: Transcriber) -> None:
    config = transcriber.model.config
    c, d = config.encoder, config.decoder
    attention = 2 * c.dim * c.head_dim * (c.n_heads + c.n_kv_heads)
    frames = c.n_layers * (attention + 3 * c.dim * c.hidden_dim)  # for each frame behind the convolutions
    convolutions = 8 * 3 * config.audio.num_mel_bins * c.dim + 4 * 3 * c.dim * c.dim
    adapter = 4 * c.dim * d.dim + d.dim * d.dim
    told = describe(CHECKPOINT, transcriber.model)
    assert told.encoder_products == 4 * frames + convolutions + adapter
    assert told.window_entry == d.n_layers * 2 * d.n_kv_heads * d.head_dim * 4


def test_a_position_costs_its_part_of_the_largest_block_and_a_pass_of_its_own() -> None:
    assert _position_cost({4: spread(9.0), 16: spread(8.0)}, {1: spread(1.0), 4: spread(2.0)}) == 1.25


def test_bandwidth_counts_the_bytes_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "timed", lambda *_: spread(0.25))
    assert reading.measured_bandwidth(timing.QUICK, 8_000_000).gb_s == 4e-3


@pytest.mark.parametrize(
    ("times", "samples"),
    [
        ((1.0, 0.125, 0.0625, 0.125), 3),  # the first run compiles; more are made until they take 0.2 s
        ((3.0,), 1),  # what is long is not repeated
    ],
)
def test_the_first_run_does_not_count_unless_it_is_long(
    times: tuple[float, ...], samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rest = np.zeros(1), iter(times)

    def work() -> None:
        clock[0] += next(rest)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: float(clock[0])))
    counted = times[-samples:]
    found = timing.timed(work, timing.QUICK)
    assert (found.least, found.most, found.samples) == (min(counted), max(counted), samples)

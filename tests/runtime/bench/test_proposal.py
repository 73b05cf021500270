"""The tuning that follows from times by rows, and how passes are replayed over tokens."""

from dataclasses import replace

import pytest
from bench_results import results, spread

from voxrun.bench.proposal import best_look_ahead, cheapest_size, margin, proposed, replay, schedules
from voxrun.bench.speech import SPEECH
from voxrun.stream.tuning import TUNINGS, from_json

CPU = TUNINGS["CPU"]
ROWS = (1, 2, 4, 8, 16, 32)
FLAT = dict.fromkeys(ROWS, 1.0)
"""A pass takes as long with many rows as with one."""
LINEAR = {n: float(n) for n in ROWS}
"""Each row takes as long as the first."""


def test_passes_are_replayed_as_the_generator_makes_them() -> None:
    # After text 4 rows are tried; all right, so 8; two pads and the mark of a word are kept; then one row.
    replayed = replay("t" + "pppp" + "ppw" + "t", (1, 4, 8), {1: 1.0, 4: 2.0, 8: 3.0})
    assert (replayed.tokens, replayed.passes, replayed.rows) == (9, 4, 1 + 4 + 8 + 1)
    assert replayed.cost == pytest.approx((1 + 2 + 3 + 1) / 9)
    assert replayed.accepted == pytest.approx(5 / 10)


def test_replaying_tinys_own_tokens_gives_the_passes_that_it_needed() -> None:
    """242 in `docs/benchmarks`' own count of this chain: blocks of audio end a few passes early."""
    assert abs(replay(SPEECH, (1, 4, 8, 16), FLAT | {1: 1.0}).passes - 242) <= 2


def test_without_look_ahead_each_token_is_a_pass() -> None:
    assert replay("ppwt", (1,), LINEAR).passes == 4


def test_rows_that_cost_nothing_are_all_guessed() -> None:
    assert best_look_ahead(SPEECH, FLAT, (1,)) == (1, 32)


def test_rows_that_cost_as_much_as_a_pass_are_not_guessed() -> None:
    assert best_look_ahead(SPEECH, LINEAR, (1, 4, 8, 16)) == (1,)


def test_the_look_ahead_in_use_stays_if_it_is_hardly_worse() -> None:
    assert best_look_ahead(SPEECH, FLAT, (1, 16, 32)) == (1, 16, 32)


def test_schedules_begin_with_one_row_and_grow() -> None:
    assert list(schedules((4, 1, 2))) == [(1,), (1, 2), (1, 4), (1, 2, 4)]


@pytest.mark.parametrize(
    ("seconds", "now", "best"),
    [
        ({8: 8.0, 16: 10.0, 32: 24.0}, 64, 16),  # rows of larger passes cost more
        ({8: 8.0, 16: 10.0, 32: 20.0}, 32, 32),  # as cheap as the best
        ({8: 8.0, 16: 10.0, 32: 15.0}, 64, 64),  # the larger the cheaper, as far as it was measured
        ({8: 8.0, 16: 40.0}, 64, 8),
    ],
)
def test_the_smallest_size_with_the_cheapest_rows_is_chosen(
    seconds: dict[int, float], now: int, best: int
) -> None:
    assert cheapest_size(seconds, now) == best


def test_a_measured_difference_widens_the_margin_and_never_narrows_it() -> None:
    assert margin(results(difference={4: 1e-7}), CPU) == CPU.rounding["float32"]
    assert margin(results(difference={4: 1e-7, 8: 3e-5}), CPU) == pytest.approx(3e-4)


def test_a_margin_is_never_so_wide_that_it_cannot_be_read_back() -> None:
    found = proposed(results(difference={4: 0.2}), SPEECH, CPU)
    assert from_json({"rounding": dict(found.rounding)}, found) == found


def test_the_proposal_says_where_it_is_from_and_can_be_read_back() -> None:
    flat = {n: spread(1.0) for n in ROWS}
    found = proposed(results(steps=flat), SPEECH, CPU)
    assert (found.look_ahead, found.source) == ((1, 32), "voxrun bench on Test chip")
    values = {"look_ahead": [1, 32], "rounding": dict(found.rounding)}
    assert from_json(values, replace(found, look_ahead=(1,))) == found


def test_blocks_hold_at_least_the_positions_that_are_guessed_in_a_pass() -> None:
    flat = {n: spread(1.0) for n in ROWS}
    growing = {n: spread(0.1 * n * n) for n in (4, 16, 32, 64, 128)}  # the smaller the cheaper
    found = proposed(results(steps=flat, blocks=growing), SPEECH, CPU)
    assert (found.look_ahead[-1], found.block_positions, found.files_positions) == (32, 32, 32)


def test_a_live_stream_waits_for_no_larger_blocks_than_before() -> None:
    falling = {n: spread(1.0) for n in (16, 64, 128)}  # the larger the cheaper
    found = proposed(results(blocks=falling), SPEECH, replace(CPU, block_positions=16, files_positions=64))
    assert (found.block_positions, found.files_positions) == (16, 128)


def test_a_pass_of_several_streams_has_at_least_the_rows_of_one() -> None:
    dear = {1: spread(1.0), 8: spread(1.0), 32: spread(5.0)}  # rows of 8 are the cheapest, 32 are rare
    found = proposed(results(steps=dear), "pppt" * 100 + "p" * 40 + "t", replace(CPU, look_ahead=(1, 8, 32)))
    assert (found.look_ahead[-1], found.pass_rows) == (32, 64)


def test_without_something_better_the_tuning_stays_as_it_is() -> None:
    costs = {1: spread(1.0), 4: spread(1.5), 8: spread(2.0), 16: spread(2.6), 64: spread(8.0)}
    assert proposed(results(steps=costs), SPEECH, CPU) == CPU

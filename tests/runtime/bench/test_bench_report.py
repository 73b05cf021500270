"""Shares of the limit, and what the report says of them."""

import json
from dataclasses import replace

import pytest
from bench_results import results, spread

from voxrun.bench.bandwidths import Bandwidth, known_bandwidth
from voxrun.bench.conclusions import conclude, speech_of
from voxrun.bench.limits import block_limit, products_per_second, step_limit
from voxrun.bench.proposal import replay
from voxrun.bench.report import as_json, report, table, tuning_json
from voxrun.bench.results import Heard
from voxrun.bench.speech import SPEECH
from voxrun.bench.tables import markdown
from voxrun.bench.timing import QUICK, by_size
from voxrun.files import strict
from voxrun.stream.tuning import TUNINGS, from_json

CPU = TUNINGS["CPU"]


def test_the_limit_is_the_time_in_which_memory_gives_the_weights_and_what_is_cached() -> None:
    assert step_limit(results()) == pytest.approx(0.02)
    assert step_limit(results(), past=1000) == pytest.approx(0.03)
    assert block_limit(results()) == pytest.approx(0.005)
    assert products_per_second(results(), 64) == pytest.approx(500e9)


def test_shares_and_factors_follow_from_the_times() -> None:
    found = conclude(results(), replace(CPU, files_positions=32))
    assert found.share == pytest.approx(0.5)
    # The least times count. What was not measured, 8 rows and 32 positions, is the next smaller.
    assert found.with_now == replay(SPEECH, (1, 4, 4, 16), {1: 0.02, 4: 0.025, 16: 0.08})
    assert found.factor_now == pytest.approx((0.08 / 16 + found.with_now.cost) / 0.08)


@pytest.mark.parametrize(
    ("name", "gb_s"),
    [
        ("Apple M1", 68),
        ("Apple M1 Max", 400),
        ("Apple M4 Pro", 273),
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA H100 PCIe", 2000),
        ("NVIDIA H200", 4800),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA GeForce RTX 4090", 1008),
    ],
)
def test_devices_are_known_by_their_names(name: str, gb_s: float) -> None:
    found = known_bandwidth(name)
    assert found is not None
    assert found.gb_s == gb_s


@pytest.mark.parametrize("name", ["AMD EPYC", "Apple M11", "NVIDIA L400", ""])
def test_other_devices_are_not_taken_for_them(name: str) -> None:
    assert known_bandwidth(name) is None


def test_the_tokens_of_a_recording_count_if_they_are_those_of_speech() -> None:
    def heard(is_speech: bool, kinds: str) -> Heard:
        return Heard(is_speech, 10.0, 12.0, 1.0, len(kinds), 9, kinds)

    speech, silence = "ppwt" * 50, "t" * 200  # a damaged model never falls silent
    assert speech_of(results(heard=heard(True, speech)))[0] == speech
    at_the_ends = "p" * 50 + "wt" * 50 + "p" * 50
    for other in (
        heard(False, speech),
        heard(True, silence),
        heard(True, at_the_ends),
        heard(True, "ppwt" * 9),
    ):
        assert speech_of(results(heard=other))[0] == SPEECH


def test_the_report_has_every_figure_with_its_share_of_the_limit() -> None:
    shown = results(left_out=["64 and more rows in the decoder: a pass may take too long"])
    text = report(shown, conclude(shown, CPU), "voxrun bench --model MODEL")
    lines = [" ".join(line.replace("|", " ").split()) for line in text.splitlines()]
    assert "1 40.0 (20.0-80.0) 40.0 1.00 50 %" in lines
    assert "16 160 (80.0-320) 10.0 4.00 12 %" in lines
    assert "1 60.0 (30.0-120) 60.0 1.00 50 %" in lines  # behind a full window: 3 GB
    assert "64 320 (160-640) 5.00 0.062 1,000 1.6 %" in lines
    assert "**A pass of one row takes 2.00 times as long as the limit (50 %).**" in lines
    for fact in (
        "ab" * 32,
        "Test chip",
        "mlx 1",
        "100 GB/s (measured here)",
        "real-time factor 0.500",
        "64 and",
    ):
        assert fact in text


def test_the_report_holds_the_proposal_as_the_runtime_reads_it() -> None:
    shown = results(steps={n: spread(0.04) for n in (1, 4, 32)})
    found = conclude(shown, CPU)
    text = report(shown, found, "voxrun bench")
    proposal = strict.parse(text.partition("```json\n")[2].partition("```")[0].encode())
    assert from_json(proposal, CPU) == found.proposed != CPU
    assert tuning_json(found.proposed) in text
    assert "Better than the tuning in use" in text
    assert "look_ahead 1, 32 (now 1, 4, 8, 16)" in table(shown, found)


def test_rows_that_differ_by_more_than_the_margin_are_reported_and_the_margin_widened() -> None:
    shown = results(difference={4: 5e-4})
    found = conclude(shown, CPU)
    assert "Rows differ by 5.0e-04 here, more than the margin of 0.0001" in table(shown, found)
    assert found.proposed.rounding["float32"] == pytest.approx(5e-3)
    assert "Rows differ" not in table(results(), conclude(results(), CPU))


def test_where_no_rows_were_compared_the_report_says_so() -> None:
    shown = results(difference={})
    text = report(shown, conclude(shown, CPU), "")
    assert "a row is computed alone. Nothing was compared: there was no time for passes of several" in text


def test_a_device_of_unknown_speed_is_compared_with_what_was_measured() -> None:
    shown = replace(results(), bandwidth=Bandwidth(400.0, "Apple's specification"))
    assert "At 400 GB/s (Apple's specification)" in report(shown, conclude(shown, CPU), "")


def test_json_has_all_figures() -> None:
    told = json.loads(as_json(results(), conclude(results(), CPU)))
    assert told["results"]["steps"]["4"]["median"] == 0.05
    assert told["conclusions"]["share"] == pytest.approx(0.5)
    assert told["differs"] is (conclude(results(), CPU).proposed != CPU)


def test_a_pass_that_may_take_too_long_is_left_out_with_all_larger_ones() -> None:
    left_out: list[int] = []
    times = by_size((1, 2, 64, 128), lambda n: spread(0.1 * n), QUICK, left_out.append)
    assert (list(times), left_out) == ([1, 2], [64])


def test_columns_are_aligned() -> None:
    assert markdown(["a", "bb"], [["ccc", "d"]]) == "| a   | bb |\n|-----|----|\n| ccc | d  |"

"""Subtitles stay long enough, follow one another, and hold what is said in times that players accept."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from subtitle_files import (
    PLAIN,
    Cue,
    document,
    in_ms,
    live,
    parsed,
    speech,
)

from voxrun.stream.results import Result, Token, Word
from voxrun.transcripts.typesetting.layout import CUE, HIGHLIGHT, Layout
from voxrun.transcripts.writer import Document, Recording
from voxrun.transcripts.writers import WRITERS


@pytest.mark.slow
@pytest.mark.parametrize("words_as", [None, CUE, HIGHLIGHT])
@settings(max_examples=60)
@given(speech())
def test_cues_follow_one_another_and_last(words_as: str | None, words: list[Word]) -> None:
    text = document("vtt", words, Layout(words=words_as))
    cues = parsed("vtt", text)
    assert all(cue.start < cue.end for cue in cues)
    for cue, following in pairwise(cues):
        assert cue.end <= following.start
        assert cue.end - cue.start >= 833 or following.start - cue.end <= 80
    for cue in cues:  # WebVTT: times inside a cue increase, and lie inside it
        inside = [
            in_ms(webvtt.models.Timestamp.from_string(time)) for time in re.findall(r"<(\d.*?)>", cue.text)
        ]
        assert sorted({cue.start, *inside, cue.end}) == [cue.start, *inside, cue.end]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["srt", "vtt", "tsv"])
@settings(max_examples=60)
@given(speech(), st.integers(2, 7), st.sampled_from([None, CUE]))
def test_however_words_arrive_the_file_is_the_same(
    name: str, words: list[Word], chunk: int, words_as: str | None
) -> None:
    layout = Layout(words=words_as)
    whole = document(name, words, layout)
    assert document(name, words, layout, chunk) == whole
    assert live(name, words, layout) == whole


def test_a_short_subtitle_stays_to_be_read_and_the_next_pushes_it_away() -> None:
    words = [Word(" Yes.", 1.0, 1.24), Word(" No.", 5.0, 5.24), Word(" Well", 6.6, 6.64)]
    cues = parsed("srt", document("srt", words))
    assert [(cue.start, cue.end) for cue in cues] == [(1000, 1833), (5000, 5833), (6600, 6680)]


def test_close_subtitles_do_not_flicker() -> None:
    first = [Word(f" word{i}", i * 0.4, i * 0.4 + 0.4) for i in range(5)]
    cues = parsed("srt", document("srt", [*first, Word(" end.", 2.0, 2.4), Word(" Next", 3.7, 4.0)]))
    assert [(cue.start, cue.end) for cue in cues] == [(0, 2400), (3700, 4000)]


def test_a_live_subtitle_is_written_when_it_is_final() -> None:
    made = Document(WRITERS["srt"](Recording("microphone", "team/voice", 480.0)))
    sentence = [
        Word(f" {word}", i * 0.4, i * 0.4 + 0.4)
        for i, word in enumerate(["this", "is", "where", "it", "all", "ends."])
    ]
    assert made.begin() + made.add(Result("", tuple(sentence), "", (Token(32, 2.4),))) == ""
    assert "it all ends." in made.add(Result("", (Word(" And", 2.8, 2.88),), "", (Token(32, 2.88),)))
    assert made.add(Result("", (), "", (Token(32, 4.0),))) == ""
    assert made.add(Result("", (), "", (Token(32, 9.0),))).endswith("And\n\n")
    assert made.end(10.0) == ""


def test_fast_speech_stays_until_it_can_be_read() -> None:
    words = [Word(f" quick{i:03}", i * 0.08, i * 0.08 + 0.08) for i in range(8)]  # 71 columns in 0.64 s
    assert [cue.end for cue in parsed("vtt", document("vtt", [*words, Word(" Then", 8.0, 8.4)]))] == [
        2140,
        8400,
    ]


def test_words_without_an_end_do_not_fill_the_memory() -> None:
    cues = parsed("vtt", document("vtt", [Word("glued", i * 0.4, i * 0.4 + 0.4) for i in range(200)]))
    assert max(len(cue.text) for cue in cues) == 5 * 17  # 7 s


def test_words_without_a_time_of_their_own_follow_one_another() -> None:
    said = ["This", "is", "a", "full", "sentence.", "And", "this", "is", "one."]
    words = [Word(f" {text}", 1.0, 1.0) for text in said]
    cues = parsed("srt", document("srt", words))
    assert [(cue.start, cue.end) for cue in cues] == [(1000, 1080), (1080, 1160)]
    starts = [cue.start for cue in parsed("srt", document("srt", words, Layout(words=CUE)))]
    assert starts == [*range(1000, 1005), *range(1080, 1084)]


def test_a_subtitle_lasts_7_seconds_at_most() -> None:
    words = [
        Word(f" {text}", i * 1.15, i * 1.15 + 1.15)
        for i, text in enumerate(["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"])
    ]
    cues = parsed("srt", document("srt", [*words, Word(" after", 7.3, 8.3)]))
    assert [cue.end for cue in cues] == [7000, 8300]


@pytest.mark.parametrize(
    ("name", "layout", "lines"),
    [
        ("srt", PLAIN, 9),
        ("tsv", PLAIN, 3),
        ("txt", Layout(timestamps=True), 2),
        ("vtt", Layout(words=CUE), slice(5, 10)),
        ("vtt", Layout(words=HIGHLIGHT), slice(7, 9)),
    ],
)
def test_the_examples_in_the_readme(name: str, layout: Layout, lines: int | slice) -> None:
    text = (Path(__file__).parents[3] / "runtime" / "README.md").read_text(encoding="utf-8")
    said = "The town library will open its new reading room early in the spring,"
    said += " and everyone is welcome to borrow recordings there."
    words = [
        Word(f" {each}", round(i * 0.3, 1), round(i * 0.3 + 0.3, 1)) for i, each in enumerate(said.split())
    ]
    words = words[:3] if layout.words == HIGHLIGHT else words
    shown = document(name, words, layout).splitlines()[lines if isinstance(lines, slice) else slice(lines)]
    assert "\n".join(shown) in text


def test_markup_in_srt_is_text() -> None:
    words = [Word(" <b>bold</b> a < b {\\an8} -->", 0.0, 1.0)]
    assert document("srt", words).splitlines()[2] == "‹b>bold‹/b> a < b {/an8} →"  # noqa: RUF001


def test_marked_words_in_vtt() -> None:
    words = [Word(" R&D", 0.0, 0.4), Word(" 你", 0.4, 0.8), Word("好", 0.8, 1.2), Word(" <i>", 1.2, 1.6)]
    made = document("vtt", words, Layout(words=HIGHLIGHT))
    assert made.startswith("WEBVTT\n\nSTYLE\n::cue(:future) {\n  color: gray;\n}\n\n")
    assert made.splitlines()[-2] == (
        "<c>R&amp;D</c> <00:00:00.400><c>你</c><00:00:00.800><c>好</c> <00:00:01.200><c>&lt;i&gt;</c>"
    )


def test_a_cue_for_each_word() -> None:
    words = [
        Word(" Well,", 0.0, 0.4),
        Word(" sub", 0.4, 0.8),
        Word("titles", 0.8, 1.2),
        Word("\n !", 1.2, 1.6),
    ]
    cues = parsed("srt", document("srt", words, Layout(words=CUE)))
    assert cues == [Cue(0, 400, "Well,"), Cue(400, 1600, "subtitles !")]
    words = [Word("公司", 0.0, 0.4), Word("的战略", 0.4, 0.8)]  # the model's words, not their characters
    assert [cue.text for cue in parsed("srt", document("srt", words, Layout(words=CUE)))] == [
        "公司",
        "的战略",
    ]


def test_hours_may_pass_99() -> None:
    (cue,) = parsed("vtt", document("vtt", [Word(" late", 400_000.0, 400_001.0)]))
    assert (cue.start, cue.end) == (400_000_000, 400_001_000)


def test_tsv() -> None:
    words = [Word(" please\t", 0.0, 0.5), Word(" try\nagain", 0.5, 1.2504), Word(" you", 3.2, 4.0)]
    assert document("tsv", words) == "start\tend\ttext\n0\t1250\tplease try again\n3200\t4000\tyou\n"
    assert document("tsv", words, Layout(words=CUE)) == (
        "start\tend\ttext\n0\t500\tplease\n500\t781\ttry\n781\t1250\tagain\n3200\t4000\tyou\n"
    )


def test_text_with_times() -> None:
    layout = Layout(timestamps=True)
    made = Document(
        WRITERS["txt"].kind(True, True, layout)(Recording("talk.flac", "team/voice", 480.0), layout)
    )
    words = (Word(" please\ntry", 1.2, 3.0), Word(" again", 6.0, 6.4))
    assert made.begin() + made.add(Result("", words)) + made.end(7.0) == (
        "[00:00:01.200 --> 00:00:03.000] please try\n[00:00:06.000 --> 00:00:06.400] again\n"
    )

"""Formats, to the byte."""

import json
import os

import pytest

from voxrun.stream.results import Alternative, Result, Token, Word
from voxrun.transcripts.text import Lines
from voxrun.transcripts.writer import Document, Recording, Writer, timestamp
from voxrun.transcripts.writers import WRITERS

LIVE_WRITERS = {name: writer.kind(live=True, watched=False) for name, writer in WRITERS.items()}
RECORDING = Recording("talk.flac", "team/voice", 480.0)
RESULTS = [
    Result(" please", (), " please", (Token(64, 0.5),)),
    Result(" try again", (Word(" please", 0.0, 0.5), Word(" try", 0.5, 0.75)), " again", (Token(65, 1.0),)),
    Result("", (Word(" again", 0.75, 1.25),), "", (Token(32, 1.5),)),
    Result(" you", (Word(" you", 3599.0, 3599.9996),), "", (Token(66, 3600.0),)),
]


def document(writer: Writer, results: list[Result] | None = None) -> str:
    made = Document(writer)
    pieces = [made.begin(), *[made.add(result) for result in results or RESULTS], made.end(3601.5)]
    return "".join(pieces)


def said(text: str) -> list[Result]:
    return [Result(text, (Word(text, 0.0, 1.0),))]


def test_txt() -> None:
    assert document(WRITERS["txt"](RECORDING)) == "please try again you\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [" press\nfive \n to  leave"],
        [" press", "\nfive", " \n ", "to", "  leave\n"],
        list(" press\nfive to\tleave "),
    ],
)
def test_txt_is_one_line_whatever_the_model_wrote(pieces: list[str]) -> None:
    assert document(WRITERS["txt"](RECORDING), [Result(piece) for piece in pieces]) == "press five to leave\n"


def test_txt_of_nothing_is_an_empty_line() -> None:
    writer = WRITERS["txt"](RECORDING)
    assert document(writer, [Result(" \n")]) == writer.failure(ValueError("bad")) == "\n"


def test_srt() -> None:
    assert document(WRITERS["srt"](RECORDING)) == (
        "1\n00:00:00,000 --> 00:00:01,250\nplease try again\n\n2\n00:59:59,000 --> 01:00:00,000\nyou\n\n"
    )


def test_vtt() -> None:
    assert document(WRITERS["vtt"](RECORDING)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nplease try again\n\n00:59:59.000 --> 01:00:00.000\nyou\n\n"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00,000"),
        (-0.4, "00:00:00,000"),
        (59.9994, "00:00:59,999"),
        (59.9996, "00:01:00,000"),
        (3661.08, "01:01:01,080"),
        (100 * 3600 + 0.5, "100:00:00,500"),
    ],
)
def test_timestamps(seconds: float, text: str) -> None:
    assert timestamp(seconds, ",") == text


def test_no_text_can_pass_for_a_line_of_times() -> None:
    results = said(" 00:01 --> 00:02\n\n7")
    srt, vtt = (document(WRITERS[name](RECORDING), results) for name in ("srt", "vtt"))
    assert srt.count("-->") == vtt.count("-->") == 1
    assert srt.splitlines()[2] == "00:01 → 00:02 7"
    assert len(vtt.splitlines()) == 5


def test_vtt_escapes_markup() -> None:
    vtt = document(WRITERS["vtt"](RECORDING), said(" <b>R&D</b> -> &amp;"))
    assert vtt.splitlines()[3] == "&lt;b&gt;R&amp;D&lt;/b&gt; -&gt; &amp;amp;"


def test_json() -> None:
    made = document(WRITERS["json"](RECORDING))
    assert made.count("\n") == 1
    assert json.loads(made) == {
        "file": "talk.flac",
        "model": "team/voice",
        "delay_ms": 480.0,
        "seconds": 3601.5,
        "text": "please try again you",
        "segments": [
            {
                "start": 0.0,
                "end": 1.25,
                "text": "please try again",
                "words": [
                    {"start": 0.0, "end": 0.5, "text": "please"},
                    {"start": 0.5, "end": 0.75, "text": "try"},
                    {"start": 0.75, "end": 1.25, "text": "again"},
                ],
            },
            {
                "start": 3599.0,
                "end": 3600.0,
                "text": "you",
                "words": [{"start": 3599.0, "end": 3600.0, "text": "you"}],
            },
        ],
    }


def test_json_has_the_competing_tokens() -> None:
    token = Token(70, 0.5, (Alternative(70, " for", 0.75), Alternative(71, " four", 0.25)))
    made = json.loads(
        document(WRITERS["json"](RECORDING), [Result(" for", (Word(" for", 0.0, 0.5, (token,)),))])
    )
    assert made["segments"][0]["words"][0]["tokens"] == [
        {
            "id": 70,
            "end": 0.5,
            "alternatives": [
                {"id": 70, "text": " for", "probability": 0.75},
                {"id": 71, "text": " four", "probability": 0.25},
            ],
        }
    ]


def test_json_keeps_any_character_on_one_line() -> None:
    made = document(WRITERS["json"](RECORDING), said(' "日本"\n\u2028\\'))
    assert made.count("\n") == 1
    assert json.loads(made)["segments"][0]["text"] == '"日本" \\'


def test_json_of_a_failure_says_which_and_why() -> None:
    made = WRITERS["json"](RECORDING).failure(ValueError("the recording is empty"))
    assert json.loads(made) == {"file": "talk.flac", "error": "the recording is empty"}


def test_json_of_a_name_that_is_not_utf_8_can_be_encoded() -> None:
    recording = Recording(os.fsdecode(b"caf\xe9.flac"), os.fsdecode(b"\xff/na\xc3\xafve"), 480.0)
    writer = WRITERS["json"](recording)
    failed = json.loads(writer.failure(ValueError(f"{recording.name}: bad")).encode())
    assert failed == {"file": "caf�.flac", "error": "caf�.flac: bad"}
    assert json.loads(document(writer).encode())["model"] == "�/naïve"


@pytest.mark.parametrize("name", LIVE_WRITERS)
def test_live_formats_come_segment_by_segment(name: str) -> None:
    """What was written by the end of a segment holds it, whatever comes later."""
    made = Document(LIVE_WRITERS[name](RECORDING))
    early = made.begin() + "".join(made.add(result) for result in RESULTS)
    assert "please try again" in early
    assert document(LIVE_WRITERS[name](RECORDING)).startswith(early)


def test_live_json_is_an_object_a_segment() -> None:
    lines = document(LIVE_WRITERS["json"](RECORDING)).splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["please try again", "you"]


def test_a_terminal_gets_a_line_a_segment() -> None:
    assert document(Lines(RECORDING)) == "please try again\nyou\n"


def test_what_is_being_said_includes_the_word_in_the_making() -> None:
    made = Document(WRITERS["txt"](RECORDING))
    for result, saying in zip(
        RESULTS, [" please", "please try again", "please try again", "you"], strict=True
    ):
        made.add(result)
        assert made.saying == saying

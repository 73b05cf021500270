"""Subtitles of any speech, and the files that are written, as players read them (by webvtt-py)."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import webvtt
from hypothesis import strategies as st

from voxrun.stream.results import Result, Token, Word
from voxrun.transcripts.typesetting.layout import Layout
from voxrun.transcripts.writer import Document, Recording
from voxrun.transcripts.writers import WRITERS

POSITION = 0.08
PLAIN = Layout()
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
SAID = [
    *(
        " please",
        " try",
        " again,",
        " extraordinarily",
        " the",
        " of",
        " well-known",
        " it's",
        " naïve",
        " end.",
    ),
    *(
        " Donaudampfschifffahrtselektrizitätenhauptbetriebswerk",
        " R&D",
        " <b>",
        " -->",
        " 42",
        " ?",
        " «",
        " »",
    ),
    *(" Приве́т", " और", " नमस्ते", " سلام", " שלום", " 우리", " 회사는", " 👨‍👩‍👧‍👦", " 👍🏽", "\n", "  "),
    *(
        "glued",
        "你好",
        "我们公司",
        "，",  # noqa: RUF001
        "。",
        "「無形資産」",
        "テスト",
        "ッ",
        "ABC",
        "สวัสดี",
        "ครับ",
        "２０２４年",
        " Rindfleischetikettierungsgesetz",
        *("今日", "は", "人工知能", "技术", "ブランド", "ロイヤルティ", "最大化", "する", "战略计划"),
    ),
    " it then went down to the shop at the corner of the street and bought all the bread there was to be had",
    "我们公司有一个新的战略计划旨在提高市场渗透率最大限度地提高品牌忠诚度并增加无形资产为了实现这些目标我们启动",
]
LAYOUTS = st.builds(Layout, st.none() | st.integers(1, 60), st.none() | st.integers(1, 4))


@dataclass(frozen=True)
class Cue:
    """As a player sees it; times in milliseconds."""

    start: int
    end: int
    text: str


@st.composite
def speech(draw: st.DrawFn) -> list[Word]:
    """Words with times as the model gives them, in steps of 80 ms: at once, one by one, after a pause.

    There is no pause inside a word whose parts have no space between them.
    """
    words, now = [], draw(st.sampled_from([0.0, 359_990.0]))
    for text in draw(st.lists(st.sampled_from(SAID), max_size=40)):
        before = now
        steps = draw(st.sampled_from([0, 1, 2, 4, 6, 12, 24, 30]))
        now = round(now + POSITION * (steps if text[0].isspace() else min(steps, 6)), 3)
        words.append(Word(text, max(before, now - 0.8), now))
    return words


def document(name: str, words: Sequence[Word], layout: Layout = PLAIN, chunk: int = 1) -> str:
    """What is written when `chunk` words come at a time."""
    kind = WRITERS[name].kind(live=False, watched=False, layout=layout)
    made = Document(kind(Recording("talk.flac", "team/voice", 480.0), layout))
    text = made.begin()
    for start in range(0, len(words), chunk):
        new = tuple(words[start : start + chunk])
        text += made.add(Result("".join(word.text for word in new), new, "", (Token(32, new[-1].end),)))
    return text + made.end(words[-1].end if words else 0.0)


def live(name: str, words: Sequence[Word], layout: Layout) -> str:
    """What is written when words come one by one, with results without words while there is silence."""
    made = Document(WRITERS[name](Recording("microphone", "team/voice", 480.0), layout))
    text, now = made.begin(), 0.0
    for word in words:
        while word.end - now > 0.32 and word.end < 1000:
            now += 0.32
            text += made.add(Result("", (), "", (Token(32, now),)))
        now = word.end
        text += made.add(Result(word.text, (word,), "", (Token(32, now),)))
    return text + made.end(words[-1].end if words else 0.0)


def parsed(name: str, text: str) -> list[Cue]:
    """The cues of a file as webvtt-py reads it."""
    captions = webvtt.from_buffer(text.splitlines(keepends=True), format=name, strict=True) if text else []
    unescaped = html.unescape if name == "vtt" else str
    return [Cue(in_ms(c.start_time), in_ms(c.end_time), unescaped(c.raw_text)) for c in captions]


def in_ms(time: webvtt.models.Timestamp) -> int:
    return ((time.hours * 60 + time.minutes) * 60 + time.seconds) * 1000 + time.milliseconds


def subtitles(text: str, layout: Layout = PLAIN, pace: float = 0.32) -> list[str]:
    """The cues of words between spaces, each as its lines."""
    words = [Word(f" {each}", i * pace, (i + 1) * pace) for i, each in enumerate(text.split())]
    return [cue.text for cue in parsed("vtt", document("vtt", words, layout))]


def unbroken(text: str, pace: float = 0.16) -> list[str]:
    """The cues of a text without spaces, of which each character is a word of the model."""
    words = [Word(character, i * pace, (i + 1) * pace) for i, character in enumerate(text)]
    return [cue.text for cue in parsed("srt", document("srt", words))]


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def shown(name: str, words: Sequence[Word]) -> str:
    """All that is said, as a format can show it."""
    text = "".join(word.text for word in words)
    return text.replace("-->", "→").replace("<b>", "‹b>") if name == "srt" else text  # noqa: RUF001

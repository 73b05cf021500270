"""Subtitles as editors want them, whatever is said: whole words, short lines, times that players accept.

Files are read back by webvtt-py.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import regex
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrun.stream.results import Result, Token, Word
from voxrun.transcripts.typesetting.columns import line_length, width
from voxrun.transcripts.typesetting.layout import CUE, HIGHLIGHT, Layout
from voxrun.transcripts.typesetting.pieces import pieces
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
    return [Cue(_ms(c.start_time), _ms(c.end_time), unescaped(c.raw_text)) for c in captions]


def _ms(time: webvtt.models.Timestamp) -> int:
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["srt", "vtt"])
@settings(deadline=None, max_examples=60)
@given(speech(), LAYOUTS)
def test_nothing_is_lost_no_word_divided_no_line_too_long(
    name: str, words: list[Word], layout: Layout
) -> None:
    cues = parsed(name, document(name, words, layout))
    said = shown(name, words)
    assert squeezed("".join(cue.text for cue in cues)) == squeezed(said)

    whole = r"[A-Za-z'ïäö-]+|\p{Hangul}+|\p{Cyrillic}\p{M}?+|\p{Arabic}+|[0-9]+|\p{RI}|\p{Emoji}\X"
    seen = " ".join(" ".join(cue.text.split()) for cue in cues)
    assert regex.findall(whole, seen) == regex.findall(whole, " ".join(said.split()))

    for cue in cues:
        rows = cue.text.split("\n")
        assert len(rows) <= layout.most_lines or not divisible(cue.text)
        for row in rows:
            assert width(row) <= (layout.line_length or line_length(cue.text)) or not divisible(row)
            assert row.strip() == row != ""
    assert not divided([shown(name, [word]) for word in words], cues, layout)


def divisible(text: str) -> bool:
    """Whether the text has a space between words, or two letters of a script that needs none."""
    text = re.sub(r"« | »| \?", "", text)
    return " " in text or "\n" in text or regex.search(rf"{UNSPACED}(?![ッィ]){UNSPACED}", text) is not None


def divided(texts: Sequence[str], cues: Sequence[Cue], layout: Layout) -> list[str]:
    """Words of Han and kana between others of their kind that lie on two lines, though one can hold them."""
    breaks, position = set(), 0
    for row in (row for cue in cues for row in cue.text.split("\n")):
        position += len(squeezed(row))
        breaks.add(position)
    found, position = [], 0
    for before, text, after in zip(["", *texts], texts, [*texts[1:], ""], strict=False):
        inside = range(position + 1, position + len(squeezed(text)))
        alone = regex.fullmatch(rf"(.*{UNSPACED}|\s*)", before) and regex.fullmatch(
            rf"({UNSPACED}.*|\s*)", after
        )
        can_be_whole = alone and regex.fullmatch(rf"(?!ッ){UNSPACED}+", text) and not after.startswith("ッ")
        if can_be_whole and width(text) <= (layout.line_length or 26) and breaks & set(inside):
            found.append(text)
        position = inside.stop
    return found


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.lists(st.text("今日人工知能技术最大化計画", min_size=1, max_size=7), max_size=40), LAYOUTS)
def test_no_word_of_the_model_is_divided(texts: list[str], layout: Layout) -> None:
    words = [Word(text, i * 0.2, i * 0.2 + 0.2) for i, text in enumerate(texts)]
    assert not divided(texts, parsed("vtt", document("vtt", words, layout)), layout)


@pytest.mark.slow
@pytest.mark.parametrize("words_as", [None, CUE, HIGHLIGHT])
@settings(deadline=None, max_examples=60)
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
            _ms(webvtt.models.Timestamp.from_string(time)) for time in re.findall(r"<(\d.*?)>", cue.text)
        ]
        assert sorted({cue.start, *inside, cue.end}) == [cue.start, *inside, cue.end]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["srt", "vtt", "tsv"])
@settings(deadline=None, max_examples=60)
@given(speech(), st.integers(2, 7), st.sampled_from([None, CUE]))
def test_however_words_arrive_the_file_is_the_same(
    name: str, words: list[Word], chunk: int, words_as: str | None
) -> None:
    layout = Layout(words=words_as)
    whole = document(name, words, layout)
    assert document(name, words, layout, chunk) == whole
    assert live(name, words, layout) == whole


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("please try again", ["please try again"]),
        (
            "when they came home at last, nobody was waiting there any more",  # after punctuation
            ["when they came home at last,", "nobody was waiting there any more"],
        ),
        (
            "travellers coming along over the mountains returned happily",  # not after a preposition
            ["travellers coming along", "over the mountains returned happily"],
        ),
        (
            "aaaaaaaa bbbbbbbb cccccccc dddddddd eeeeeeee",  # the lower line is the longer one
            ["aaaaaaaa bbbbbbbb", "cccccccc dddddddd eeeeeeee"],
        ),
        (
            "Voici ce que je dois faire : rentrer tout le bois sec",  # no line begins with a colon
            ["Voici ce que je dois faire :", "rentrer tout le bois sec"],
        ),
        (
            "everybody at the party liked Mrs. Robinson better",  # not after an abbreviation
            ["everybody at the party liked", "Mrs. Robinson better"],
        ),
        (
            "asked us whether or not it would be able to do all of it",  # short words, but no short line
            ["asked us whether or not", "it would be able to do all of it"],
        ),
        (
            "she and I do all of it as if we had it in our own time",
            ["she and I do all of it as", "if we had it in our own time"],
        ),
        (
            "우리 회사는 시장 침투율을 높이고 브랜드 충성도를",  # Korean: at spaces
            ["우리 회사는 시장 침투율을", "높이고 브랜드 충성도를"],
        ),
        (
            "لدى شركتنا مبادرة استراتيجية جديدة لزيادة اختراق السوق",  # as it was said, in one direction
            ["لدى شركتنا مبادرة استراتيجية", "جديدة لزيادة اختراق السوق"],
        ),
    ],
)
def test_lines_are_balanced_and_broken_between_phrases(text: str, lines: list[str]) -> None:
    assert subtitles(text) == ["\n".join(lines)]


def test_lines_and_their_length_can_be_chosen() -> None:
    text = "three seven eight forty fifty sixty three seven eight forty fifty sixty"
    lines = ["three seven eight forty", "fifty sixty three seven", "eight forty fifty sixty"]
    assert subtitles(text, Layout(24, 3)) == ["\n".join(lines)]
    assert all(len(cue) <= 24 for cue in subtitles(text, Layout(24, 1)))
    assert subtitles(text, Layout(1, 1)) == text.split()


def test_a_word_longer_than_a_line_has_a_line_of_its_own() -> None:
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"
    assert subtitles(f"das {long} ist", Layout(42, 3)) == [f"das\n{long}", "ist"]
    assert subtitles(f"das {long * 2} ist") == ["das", long * 2, "ist"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        # 16 characters in Chinese, 13 in Japanese; after punctuation
        (
            "我们公司有一个新的战略计划、旨在提高市场渗透率",
            ["我们公司有一个新的战略计划、", "旨在提高市场渗透率"],
        ),
        ("私たちの会社には、市場浸透率を高め", ["私たちの会社には、", "市場浸透率を高め"]),
        # kinsoku: no small kana and no closing bracket at the start of a line, no opening one at its end
        ("あああああああああっいいいいいいい", ["ああああああああ", "あっいいいいいいい"]),
        ("ああああああああ」いいいいいいい", ["あああああああ", "あ」いいいいいいい"]),
        ("ああああああああ「いいいいいいい」", ["ああああああああ", "「いいいいいいい」"]),
        # neither in a word of another script nor in a number with its unit
        ("我们在２０２４年用VOXTRAL工作的人们", ["我们在２０２４年", "用VOXTRAL工作的人们"]),  # noqa: RUF001
    ],
)
def test_text_without_spaces_is_broken_where_its_script_allows_it(text: str, lines: list[str]) -> None:
    assert unbroken(text)[0].split("\n") == lines


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("naïve", 5),
        ("nai\u0308ve\u200b", 5),
        ("हमारी कंपनी", 10),  # नी: a letter and a sign beside it; कं: the dot is above
        ("क्षेत्र", 4),
        ("நிறுவனம்", 7),
        ("สวัสดีครับน้ำ", 9),
        ("한국어 조선", 11),
        ("\u1112\u1161\u11ab", 2),
        ("日本ｱｲＡ", 8),
        ("👨‍👩‍👧‍👦👍🏽🇩🇪1️⃣", 8),
    ],
)
def test_columns(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("我们公司", "我 们 公 司"),
        ("你好。（再见）吗?!", "你 好。 （再 见） 吗?!"),  # noqa: RUF001
        ("ああっいーう々え…お", "あ あっ いー う々 え… お"),
        ("約￥50の3％が「いい」と", "約 ￥50の 3％ が 「い い」 と"),  # noqa: RUF001
        ("在ABC-DE的e\u0301", "在 ABC-DE 的 e\u0301"),
        ("漢字는 한국어", "漢 字는 한국어"),
        ("สวัสดี|ครับ|า|เ|ชา", "สวัสดี ครับา เชา"),  # no break before a mark, nor after a vowel that precedes
        ("well-known|it's|don", "well-knownit'sdon"),
        ("好👨‍👩‍👧‍👦好👍🏽🇩🇪", "好 👨‍👩‍👧‍👦 好 👍🏽🇩🇪"),
        ("« oui » ( non ) quoi ? ¿ sí ?", "«_oui_» (_non_) quoi_? ¿_sí_?"),
    ],
)
def test_what_stays_together(words: str, parts: str) -> None:
    """Kinsoku, numbers with units, Korean between spaces; `|` ends a word of the model, `_` is a space."""
    said = [Word(text, 0.0, 1.0) for text in words.split("|")]
    assert [piece.text.replace(" ", "_") for piece in pieces(said)] == parts.split(" ")


def test_chinese_is_broken_between_the_models_words() -> None:
    words = [
        Word(text, i * 0.4, i * 0.4 + 0.4)
        for i, text in enumerate(["我们公司有", "一个新的战略计划", "旨在提高市场渗"])
    ]
    assert [cue.text for cue in parsed("srt", document("srt", words))] == [
        "我们公司有一个新的战略计划\n旨在提高市场渗"
    ]


@pytest.mark.parametrize(
    ("said", "cues"),
    [
        ("ブランド|ロイヤルティ|を|最大化|する", ["ブランドロイヤルティを\n最大化する"]),
        (
            "我们公司有|一个新的战略计划|人工智能技术|旨在提高市场渗透率|品牌",
            ["我们公司有一个新的战略计划\n人工智能技术旨在提高市场渗透率", "品牌"],
        ),
        ("無形資産", ["無形資産"]),
        (
            "今日|は|人工知能|が|私たち|の|生活|を",
            ["今日は人工知能が\n私たちの生活を"],
        ),  # no particle begins a line
        ("これ|は|きれい|な|ところ|と|いう|こと|で|ある|の", ["これはきれいなところと\nいうことであるの"]),
        (
            "旨在提高市场渗透率最大限度地提高品牌忠诚度",
            ["旨在提高市场渗透率最\n大限度地提高品牌忠诚度"],
        ),  # too long for a line
    ],
)
def test_no_word_of_the_model_is_divided_if_a_line_can_hold_it(said: str, cues: list[str]) -> None:
    words = [Word(text, i * 0.2, i * 0.2 + 0.2) for i, text in enumerate(said.split("|"))]
    assert [cue.text for cue in parsed("srt", document("srt", words))] == cues


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


def test_the_parts_of_a_word_stay_together_in_one_cue() -> None:
    """The model may mark the end of a word inside one; there a subtitle would be full here."""
    words = [Word(f" {'w' * 7}", i * 0.4, i * 0.4 + 0.4) for i in range(9)]
    words += [Word(" super", 3.6, 4.0), Word("titlewriter", 4.0, 4.4), Word(" again", 4.4, 4.8)]
    assert [cue.text.split()[-1] for cue in parsed("srt", document("srt", words))] == ["w" * 7, "again"]


def test_a_cue_does_not_end_with_an_article_or_divide_a_quotation() -> None:
    text = "nobody there knew anything about what happened between yesterday evening and the morning"
    assert subtitles(text)[0].endswith("evening")
    text = "the whole story was told in detail to everybody who was in that house by Mr. Smith who came later"
    assert subtitles(text)[1].startswith("by Mr. Smith")
    assert subtitles("Il nous disait toujours : « Je reviens demain. » Et voilà") == [
        "Il nous disait toujours :\n« Je reviens demain. »",
        "Et voilà",
    ]


def test_what_the_model_did_not_divide_is_divided_if_no_subtitle_can_hold_it() -> None:
    text = " one two three four" * 8
    cues = parsed("vtt", document("vtt", [Word(text, 0.0, 0.8)]))
    assert " ".join(row for cue in cues for row in cue.text.split("\n")) == text.strip()
    assert max(len(row) for cue in cues for row in cue.text.split("\n")) <= 42
    assert max(cue.text.count("\n") for cue in cues) == 1
    together = [Word(" 42", 0.0, 0.4), Word("我们公司", 0.4, 0.8)]
    assert [cue.text for cue in parsed("srt", document("srt", together, Layout(4)))] == ["42我\n们公", "司"]


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
    said = "Our company has a new strategic initiative to increase market penetration,"
    said += " maximise brand loyalty and enhance intangible assets."
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

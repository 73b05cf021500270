"""Lines as editors want them, whatever is said: whole words, short, balanced, broken between phrases."""

import re
from collections.abc import Sequence

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from subtitle_files import (
    LAYOUTS,
    UNSPACED,
    Cue,
    document,
    parsed,
    shown,
    speech,
    squeezed,
    subtitles,
    unbroken,
)

from voxrun.stream.results import Word
from voxrun.transcripts.typesetting.columns import line_length, width
from voxrun.transcripts.typesetting.layout import Layout
from voxrun.transcripts.typesetting.pieces import pieces


@pytest.mark.slow
@pytest.mark.parametrize("name", ["srt", "vtt"])
@settings(max_examples=60)
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
@settings(max_examples=100)
@given(st.lists(st.text("今日人工知能技术最大化計画", min_size=1, max_size=7), max_size=40), LAYOUTS)
def test_no_word_of_the_model_is_divided(texts: list[str], layout: Layout) -> None:
    words = [Word(text, i * 0.2, i * 0.2 + 0.2) for i, text in enumerate(texts)]
    assert not divided(texts, parsed("vtt", document("vtt", words, layout)), layout)


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
        ("我们公司有一个计划.旨在提高市场渗透率", ["我们公司有一个计划.", "旨在提高市场渗透率"]),
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

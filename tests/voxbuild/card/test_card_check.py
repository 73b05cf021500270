"""Every number of a card is checked against the measurements; a card that differs is not published."""

import json
import re
from dataclasses import replace

import pytest
from artifacts import RECIPE, REPO, make_artifact
from cards import RECORD, TEMPLATES, VALIDATION, make_subject

from voxbuild.artifact.manifest import CARD, EVAL_RESULTS, PLOT, Manifest, file_entry
from voxbuild.artifact.manifest import VALIDATION as REPORT
from voxbuild.card.check import check_card
from voxbuild.card.render import card_files
from voxbuild.errors import PublishError
from voxbuild.publish.release import prepare
from voxrun.trust.manifest import Entry

SUBJECT = make_subject()
FILES = card_files(TEMPLATES, SUBJECT, RECORD)
MANIFEST = replace(
    SUBJECT.manifest, files=SUBJECT.manifest.files | {name: Entry(1, "0" * 64) for name in FILES}
)
TEXT = FILES[CARD].decode()
ROWS = "bits|parameters|size|clips with|positions|same|KL|chains|digits|fleurs|prompts|all"
LINE = re.compile(rf"^( +value: |\| (?:{ROWS})[^|]*\||\| (?:\*\*)?\[.*?\)).*$", re.MULTILINE)
"""A line that holds figures, behind its group."""
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """What is wrong with a card of these files in place of the rendered ones."""
    folder = tmp_path_factory.mktemp("card")

    def check(manifest=MANIFEST, validation=VALIDATION, record=RECORD, **changes):
        for name, content in (FILES | changes).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return check_card(folder, manifest, validation, record)

    return check


def measured_numbers():
    """Where in the card something stands that was measured: (start, end, the line)."""
    return [
        (number.start(), number.end(), line[0])
        for line in LINE.finditer(TEXT)
        for number in NUMBER.finditer(TEXT, line.end(1), line.end())
    ]


PLACES = measured_numbers()


def test_the_check_covers_every_measured_number():
    estimate = 3  # with two bounds
    in_front, facts, sets = 2 * 4, 3 + 1 + 5 * estimate, 5 * (2 + 4 * estimate)
    known, some, none = 3 + 2 * estimate, 3 + 1 + estimate, 3 + 1  # of the KL and the WER of each variant
    variants = known + 2 * some + none
    assert len(PLACES) == in_front + facts + sets + variants


def test_an_unchanged_card_passes(wrong):
    assert wrong() == []


@pytest.mark.parametrize(("start", "end", "line"), PLACES, ids=[f"{s}: {TEXT[s:e]}" for s, e, _ in PLACES])
def test_a_change_of_any_numbers_last_digit_is_found(wrong, start, end, line):
    last = int(TEXT[end - 1])
    edited = TEXT[: end - 1] + str((last + 1) % 10) + TEXT[end:]
    assert wrong(**{CARD: edited}), line


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("      value: 10.95", "      value: 9.95", "model-index: chains 5 wer 9.95, which was not measured"),
        ("      value: 10.95", "      value: '10.95'", "model-index: chains 5 wer 10.95"),
        ("chains (5 clips)", "chains (50 clips)", "model-index: chains 50 wer 10.95, which was not measured"),
        ("| 4.522 ", "| 4.0 ", "README.md: bits per weight: 4.0, not 4.522"),
        ("2,504.12 MB ", "504.12 MB ", "README.md: size of the weights: 504.12 MB, not 2,504.12 MB"),
        (
            "**2,504.12**",
            "**504.12**",
            "4bit 504.12 4.522 8.36 (6.27 to 10.45) 10.95 0.00123 (0.00093 to 0.00154) in bold, which",
        ),
        ("| 98.77 (", "| 99.77 (", "same likeliest token, %: 99.77 (98.57 to 98.96), not 98.77 (98.57"),
        (
            "to 0.0709)",
            "to 0.0609)",
            "99th percentile, nats: 0.0567 (0.0425 to 0.0609), not 0.0567 (0.0425 to",
        ),
        ("**[4bit]", "[4bit]", "variant: lacks 4bit 2,504.12 4.522 8.36 (6.27 to 10.45) 10.95"),
        (
            "| [8bit]",
            "| [6bit]",
            "variant: 6bit 4,710.00 8.505 5.51 (4.40 to 7.10) 7.51 0.00012 in plain type",
        ),
        ("| prompts ", "| others ", "others: no such clip set"),
        ("| clip set ", "| clips ", "0 tables of clip set, not 1"),
        ("](wer.png)", "](other.png)", "must show wer.png"),
        ("model-index:", "model_index:", "model-index: lacks chains 5 wer 10.95"),
        ("| 8.36 (", "| 8.36 | (", "all, CER %: (6.27 to 10.45), not 2.33 (1.75"),
        ("---\nbase_model", "---\n]base_model", "cannot be read"),
        ("model-index:\n", "model-index: 7\nother:\n", "cannot be read"),
    ],
)
def test_a_wrong_number_is_reported_with_its_place(wrong, old, new, expected):
    assert old in TEXT
    assert expected in "; ".join(wrong(**{CARD: TEXT.replace(old, new, 1)}))


HEARD = TEXT[TEXT.index("| clip set") : TEXT.index("\nWith the same")]
NEAR = TEXT[TEXT.index("| against") : TEXT.index("\nThe clips")]
VARIANTS = TEXT[TEXT.index("| variant") : TEXT.index("\n![Size")]
SMALL = "| clip set | WER % |\n|---|---|\n| prompts | 1.44 |\n"


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (HEARD.replace("4.44", "1.44"), "2 tables of clip set"),
        (NEAR, "2 tables of against the unquantized weights"),
        (VARIANTS, "2 tables of variant"),
        (SMALL, "unknown table: clip set, WER %"),
        ("clip set | WER %\n---|---\nprompts | 1.44\n", "unknown table: clip set, WER %"),
        ("> " + SMALL.replace("\n|", "\n> |"), "unknown table: clip set, WER %"),
        ("- " + SMALL.replace("\n|", "\n  |"), "unknown table: clip set, WER %"),
        ("| clip set | WER % |\n| prompts | 1.44 |\n", "this looks like a table but is none"),
        ("<table><tr><td>WER</td><td>1.44</td></tr></table>\n", "it holds HTML"),
        ("The WER is <b>1.44</b>.\n", "it holds HTML"),
        ("![WER](better.png)\n", "no other image"),
    ],
)
def test_foreign_content_is_found(wrong, added, expected):
    assert expected in "; ".join(wrong(**{CARD: f"{TEXT}\n{added}"}))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "| [4bit](https://some.where) | 2,504.12 | 4.522 | 1.36 | 1.95 | |",
            "4bit 2,504.12 4.522 1.36",
        ),
        ("| **4bit** | **2,504.12** | **4.522** | **1.36** | **1.95** | **0** |", "4bit 2,504.12 4.522 1.36"),
        ("| [1bit](https://huggingface.co/x/y) | 1.00 | 1.000 | 1.36 | 1.95 | |", "1bit 1.00 1.000 1.36"),
        (next(line for line in VARIANTS.splitlines() if "[8bit]" in line), "8bit 4,710.00 8.505 5.51"),
    ],
    ids=["own again", "own again in bold", "not on record", "another twice"],
)
def test_an_extra_row_is_found(wrong, row, expected):
    text = TEXT.replace(VARIANTS, f"{VARIANTS}{row}\n")
    assert f"variant: {expected}" in "; ".join(wrong(**{CARD: text}))


def test_a_fact_that_was_not_measured_is_found(wrong):
    text = TEXT.replace("| parameters ", "| WER % | 1.00 |\n| parameters ")
    assert wrong(**{CARD: text}) == ["README.md: WER %: unknown row"]


def test_a_variant_under_another_name_is_found(wrong):
    assert "8bit" in "; ".join(wrong(**{CARD: TEXT.replace("/voxbuild/Model-8bit", "/voxbuild/Model-3bit")}))


@pytest.mark.parametrize(
    "record",
    [
        (),
        RECORD[:-1],
        (*RECORD[:-1], RECORD[-1].model_copy(update={"wer": 1.9})),
        (*RECORD[:-1], RECORD[-1].model_copy(update={"wer_interval": (1.0, 9.0)})),
    ],
    ids=["none", "one fewer", "one heard better", "one with an interval"],
)
def test_another_record_fails_the_check(wrong, record):
    assert wrong(record=record)


def test_recorded_variants_must_be_shown(wrong):
    alone = card_files(TEMPLATES, SUBJECT, ())[CARD]
    assert "0 tables of variant, not 1" in "; ".join(wrong(**{CARD: alone.decode()}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value: 5.38", "value: 3.38"),
        ("value: 5.38", "value: '5.38'"),
        ("fleurs-en (100", "fleurs-en (10"),
        ("google/fleurs", "google/other"),
        ("- dataset", "dataset"),
        ("id: google/fleurs", "x: y"),
    ],
)
def test_evaluation_results_that_were_not_measured_are_found(wrong, old, new):
    text = FILES[EVAL_RESULTS].decode()
    assert old in text
    assert wrong(**{EVAL_RESULTS: text.replace(old, new, 1)})


@pytest.mark.parametrize("name", [EVAL_RESULTS, PLOT])
def test_a_missing_file_is_found(wrong, name):
    fewer = {n: e for n, e in MANIFEST.files.items() if n != name}
    assert wrong(manifest=replace(MANIFEST, files=fewer))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["sets", "prompts", "wer", "value"], 4.45),
        (["sets", "prompts", "wer", "low"], 0.01),
        (["sets", "prompts", "cer", "high"], 9.51),
        (["sets", "prompts", "unquantized_wer", "value"], 3.88),
        (["sets", "prompts", "wer_increase", "high"], 3.88),
        (["sets", "prompts", "clips"], 36),
        (["sets", "prompts", "words"], 181),
        (["sets", "fleurs-en", "wer", "value"], 5.39),
        (["total", "wer", "value"], 8.37),
        (["total", "wer", "high"], 8.37),
        (["total", "cer", "value"], 2.34),
        (["total", "unquantized_wer", "value"], 5.48),
        (["total", "text_agreement", "low"], 0.1),
        (["total", "character_agreement", "value"], 0.1),
        (["fidelity", "positions"], 12346),
        (["fidelity", "top1_agreement", "value"], 0.9866),
        (["fidelity", "kl_mean", "value"], 0.002234),
        (["fidelity", "kl_p99", "high"], 0.0177),
    ],
)
def test_another_validation_fails_the_check(wrong, keys, value):
    other = json.loads(json.dumps(VALIDATION))
    part = other
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    assert wrong(validation=other)


@pytest.mark.parametrize("changes", [{"bits_per_weight": 4.6}, {"parameters": 7}])
def test_another_manifest_fails_the_check(wrong, changes):
    assert wrong(manifest=replace(MANIFEST, **changes))


def test_an_edited_card_is_not_published_even_under_a_new_manifest(tmp_path):
    folder = make_artifact(tmp_path / "a")
    prepare(folder, RECIPE, REPO, "v1")
    card = (folder / CARD).read_text().replace("| 4.44 (", "| 1.44 (")
    (folder / CARD).write_text(card)
    with pytest.raises(PublishError, match="differs from its manifest"):
        prepare(folder, RECIPE, REPO, "v1")
    manifest = Manifest.load(folder)
    replace(manifest, files=manifest.files | {CARD: file_entry(folder / CARD)}).save(folder)
    with pytest.raises(
        PublishError, match=r"the card differs from the measurements: .* prompts, WER %: 1\.44 .*, not 4\.44 "
    ):
        prepare(folder, RECIPE, REPO, "v1")
    assert (folder / REPORT).is_file()


def test_a_card_of_another_record_is_not_published(tmp_path):
    folder = make_artifact(tmp_path / "a")
    with pytest.raises(PublishError, match=r"0 tables of variant, not 1; .*run `doit build`"):
        prepare(folder, RECIPE, REPO, "v1", record=RECORD)


def test_a_card_of_another_repository_is_not_published(tmp_path):
    folder = make_artifact(tmp_path / "a", repo="someone/Else")
    said = (
        f"README.md: written for https://huggingface.co/someone/Else, not for https://huggingface.co/{REPO}"
    )
    with pytest.raises(PublishError, match=said):
        prepare(folder, RECIPE, REPO, "v1")
    prepare(folder, RECIPE, "someone/Else", "v1")

"""The record of published variants: made from the target alone, all of it verified; its use in cards."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from artifacts import contents, make_artifact
from cards import RECORD, UPSTREAM, make_sibling, make_subject

from voxbuild.artifact.manifest import MANIFEST, VALIDATION
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import family, others, read_record, sibling_of, write_record
from voxbuild.errors import MissingError, PublishError, RecipeError
from voxbuild.files import STATE_BYTES as LIMIT
from voxbuild.publish.survey import record_published, revised, survey
from voxbuild.publish.target import Version
from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace

MODEL = "Voxtral-Mini-4B-Realtime-2602"
REPO = f"voxbuild/{MODEL}-4bit"
OTHERS = {"recipe": {"digest": "x"}, "model": MODEL}


class Shelf:
    """A target that holds folders by repository and tag, newest first; only what siblings ask of one."""

    def __init__(self):
        self.held = {}
        self.withdrawn = {}
        self.reads = []

    def put(self, repo, tag, files):
        self.held[repo] = {tag: files} | self.held.get(repo, {})

    def history(self, repo):
        if repo not in self.held:
            raise MissingError(f"{repo}: not there")
        return [
            Version(tag, "c" * 40, "", number == 0, self.withdrawn.get(tag))
            for number, tag in enumerate(self.held[repo])
        ]

    def read(self, repo, revision, name, limit):
        self.reads.append((repo, revision, name))
        assert limit == LIMIT
        return self.held[repo][revision][name]


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def artifact(tmp_path):
    """The files of a small artifact; `changes` go into its manifest."""

    def make(name="a", **changes):
        return contents(make_artifact(tmp_path / name, b"w" * 7, **(OTHERS | changes)))

    return make


def artifacts_of(book, recipes=None):
    source = book.source(UPSTREAM)
    return [Variant(Workspace(None), book, source, book.recipe(name)) for name in recipes or book.recipes]


def found(shelf, book, recipes=("4bit",)):
    return survey(shelf, artifacts_of(book, recipes)).found


def test_published_variants_are_recorded_as_they_are(shelf, book, artifact):
    files = artifact()
    shelf.put(REPO, "v1", files)
    (sibling,) = found(shelf, book)
    assert (sibling.recipe, sibling.dialect, sibling.repo, sibling.tag) == ("4bit", None, REPO, "v1")
    assert sibling.digest == hashlib.sha256(files[MANIFEST]).hexdigest()
    assert (sibling.bytes, sibling.bits_per_weight) == (7, 4.5223)
    assert (sibling.wer, sibling.wer_interval) == (8.36, (6.27, 10.45))
    assert (sibling.worst_wer, sibling.kl_mean, sibling.kl_interval) == (
        10.95,
        0.001234,
        (0.000926, 0.001543),
    )
    assert {name for _, _, name in shelf.reads} == {MANIFEST, VALIDATION}, "no weights are downloaded"


def test_a_release_of_before_intervals_were_kept_is_recorded_without(shelf, book, artifact):
    files = artifact()
    report = json.loads(files[VALIDATION])
    for part in (report["total"], *report["sets"].values()):
        part["wer"] = part["wer"]["value"]
    report["fidelity"]["kl_mean"] = report["fidelity"]["kl_mean"]["value"]
    old = json.dumps(report).encode()
    manifest = json.loads(files[MANIFEST])
    manifest["files"][VALIDATION] = {"size": len(old), "sha256": hashlib.sha256(old).hexdigest()}
    shelf.put(REPO, "v1", files | {VALIDATION: old, MANIFEST: json.dumps(manifest).encode()})
    (sibling,) = found(shelf, book)
    assert (sibling.wer, sibling.worst_wer, sibling.kl_mean) == (8.36, 10.95, 0.001234)
    assert (sibling.wer_interval, sibling.kl_interval) == (None, None)


def test_the_newest_tag_that_is_not_withdrawn_counts(shelf, book, artifact):
    for tag, bits in (("v1", 4.1), ("v2", 4.2), ("v3", 4.3)):
        shelf.put(REPO, tag, artifact(tag, bits_per_weight=bits))
    shelf.withdrawn = {"v3": "broken"}
    (sibling,) = found(shelf, book)
    assert (sibling.tag, sibling.bits_per_weight) == ("v2", 4.2)
    shelf.withdrawn = dict.fromkeys(("v1", "v2", "v3"), "broken")
    assert found(shelf, book) == []


def test_unpublished_variants_are_left_out_and_views_are_recorded(shelf, book, artifact):
    assert found(shelf, book, book.recipes) == []
    shelf.put(f"voxbuild/{MODEL}-bf16", "v1", artifact("a", variant="bf16"))
    shelf.put(f"voxbuild/{MODEL}-bf16-mlx-audio", "v1", artifact("b", variant="bf16"))
    assert [(s.recipe, s.dialect) for s in found(shelf, book, book.recipes)] == [
        ("bf16", None),
        ("bf16", "mlx-audio"),
    ]


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            VALIDATION,
            lambda text: text.replace('"value": 8.36', '"value": 0.36'),
            "differs from its manifest",
        ),
        (VALIDATION, lambda text: text[:-2], "differs from its manifest"),
        (MANIFEST, lambda text: text[:100], "cannot be recorded"),
        (
            MANIFEST,
            lambda text: text.replace('"bits_per_weight": 4.5223', '"bits_per_weight": "4"'),
            "cannot be",
        ),
        (MANIFEST, lambda text: text.replace("tekken.json", "../tekken.json"), "cannot be recorded"),
        (
            MANIFEST,
            lambda text: text.replace('"variant": "4bit"', '"variant": "2bit"'),
            f"holds {MODEL}, 2bit",
        ),
        (MANIFEST, lambda text: text.replace(MODEL, "Other"), "holds Other, 4bit"),
    ],
)
def test_inconsistent_releases_are_refused(shelf, book, artifact, name, change, expected):
    files = artifact()
    changed = change(files[name].decode())
    assert changed != files[name].decode()
    shelf.put(REPO, "v1", files | {name: changed.encode()})
    with pytest.raises(PublishError, match=f"{REPO} at v1: .*{expected}"):
        found(shelf, book)


def test_a_public_card_names_no_private_variant_and_found_sources_are_recorded_by_name_only(
    shelf, book, artifact, tmp_path, capsys
):
    shelf.put(REPO, "v1", artifact("a"))
    shelf.put(f"voxbuild/{MODEL}-8bit", "v1", artifact("b", variant="8bit"))
    work, order = Workspace(tmp_path), SimpleNamespace(open_target=lambda work: shelf, source=None)
    eight = book.recipe("8bit")
    hidden = eight.model_copy(update={"publish": eight.publish.model_copy(update={"private": True})})
    mine = book.source(UPSTREAM).model_copy(update={"name": "mine"})
    changed = replace(
        book,
        recipes={"4bit": book.recipe("4bit"), "8bit": hidden},
        sources={UPSTREAM: book.source(UPSTREAM), "mine": mine},
        found=frozenset({"mine"}),
    )
    record_published(work, changed, order, replace=False)
    assert [sibling.recipe for sibling in read_record(work.siblings_file(UPSTREAM))] == ["4bit"]
    assert not work.siblings_file("mine").exists() and "mine" not in capsys.readouterr().out
    record_published(work, replace(changed, recipes={"8bit": hidden}), order, replace=False)
    recorded = {sibling.recipe for sibling in read_record(work.siblings_file(UPSTREAM))}
    assert "8bit" in recorded, "no card of this source is public"


def test_a_record_is_read_back_largest_first(tmp_path):
    path = tmp_path / "siblings/tiny.json"
    assert read_record(path) == ()
    write_record(path, reversed(RECORD))
    assert [s.bytes for s in read_record(path)] == sorted((s.bytes for s in RECORD), reverse=True)
    assert set(read_record(path)) == set(RECORD)
    before = path.read_bytes()
    write_record(path, RECORD)
    assert path.read_bytes() == before


def test_recorded_variants_stay_unless_withdrawn_or_without_a_recipe(shelf, book, artifact):
    """Of a new registry with one variant, the others of the record are not known to be gone."""
    shelf.put(REPO, "v1", artifact(bits_per_weight=4.1))
    held = survey(shelf, artifacts_of(book))
    record = (*RECORD, make_sibling("fp16", dialect="mlx-audio"), make_sibling("of-no-recipe"))
    revision = revised(record, held, replace=False)
    assert [s.recipe for s in revision.record] == ["4bit", "bf16", "bf16", "8bit", "3bit", "fp16"]
    assert revision.record[0].bits_per_weight == 4.1
    assert revision.kept == ["bf16", "bf16-mlx-audio", "8bit", "3bit", "fp16-mlx-audio"]
    assert revision.dropped == ["of-no-recipe"]
    revision = revised(record, held, replace=True)
    assert (len(revision.record), revision.kept, len(revision.dropped)) == (1, [], 6)
    shelf.put(f"voxbuild/{MODEL}-8bit", "v1", {})
    shelf.withdrawn = {"v1": "broken"}
    shelf.put(REPO, "v2", artifact("b"))
    revision = revised(record, survey(shelf, artifacts_of(book)), replace=False)
    assert revision.dropped == ["8bit", "of-no-recipe"]


@pytest.mark.parametrize(
    "change",
    [
        {"wer": "8"},
        {"wer": -1.0},
        {"bytes": 0},
        {"bits_per_weight": float("nan")},
        {"unknown": 1},
        {"repo": None},
        {"digest": "short"},
    ],
    ids=str,
)
def test_a_malformed_record_is_refused(tmp_path, change):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps([RECORD[0].model_dump() | change]))
    with pytest.raises(
        RecipeError, match=r"tiny\.json: cannot read the record of siblings .*; delete it and run"
    ):
        read_record(path)


def test_the_cards_own_figures_replace_the_records():
    subject = make_subject()
    shown = family(RECORD, subject)
    assert [s.recipe for s in shown] == ["bf16", "8bit", "4bit", "3bit"]
    assert shown[2] == sibling_of(subject)
    assert (shown[2].wer, shown[2].worst_wer, shown[2].bytes) == (8.36, 10.95, 2_504_123_456)
    assert shown[2].repo == REPO


def test_an_unrecorded_variant_is_shown_on_its_own_card():
    shown = family(RECORD, make_subject("6bit"))
    assert [s.recipe for s in shown] == ["bf16", "8bit", "6bit", "4bit", "3bit"]


def test_variants_of_other_loaders_are_not_mixed():
    bf16, mlx_audio = (make_subject("bf16", loader=loader).variant for loader in (None, "mlx-audio"))
    assert [s.recipe for s in others(RECORD, bf16)] == ["8bit", "4bit", "3bit"]
    assert others(RECORD, mlx_audio) == ()
    record = (*RECORD, make_sibling("fp16", dialect="mlx-audio"))
    assert [s.recipe for s in others(record, mlx_audio)] == ["fp16"]


def test_the_records_of_this_repository_are_of_its_recipes(root, book):
    for path in (root / "model_cards/siblings").glob("*.json"):
        assert path.stem in book.sources
        record = read_record(path)
        assert {s.recipe for s in record} <= book.recipes.keys()
        assert len({(s.recipe, s.dialect) for s in record}) == len(record)

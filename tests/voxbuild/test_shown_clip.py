"""The clip that README and CI transcribe is heard right by every variant that they build."""

import csv
import re

import pytest
from conversions import built, variant_of
from small_sources import ROOT

from voxbuild import stages
from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace
from voxrun.transcriber import Transcriber

CI = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
CLIP, TEXT = (re.search(rf"^ +{name}: (.+)$", CI, re.MULTILINE)[1] for name in ("CLIP", "HEARD"))
BOOK = read_book(ROOT / "recipes")
GOOD = sorted(name for name, recipe in BOOK.recipes.items() if not recipe.experimental)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A project of all recipes; what searches need is measured."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (folder / "model_cards").symlink_to(ROOT / "model_cards")
    work = Workspace(folder)
    stages.fetch(work, BOOK.source("tiny"))
    for kind in {recipe.moments for recipe in BOOK.recipes.values() if recipe.moments}:
        stages.calibrate(work, BOOK.source("tiny"), BOOK.clips["calibration"], kind)
    limited = next(name for name in GOOD if BOOK.recipes[name].budget)  # they share a measurement
    stages.measure_sensitivity(variant_of(work, BOOK, BOOK.source("tiny"), limited))
    return work


def test_readme_and_ci_show_the_same_clip_and_its_transcript():
    for name in ("README.md", "voxbuild/project/README.md", "docs/compatibility.md"):
        assert set(re.findall(r"tiny/clips/[\w/.-]+\.flac", (ROOT / name).read_text())) == {CLIP}
    assert f"It ends with `{TEXT}`" in (ROOT / "README.md").read_text()
    clip = ROOT / CLIP
    with (clip.parent / "transcripts.tsv").open(newline="") as file:
        assert dict(csv.reader(file, delimiter="\t"))[clip.name] == TEXT


@pytest.mark.slow
@pytest.mark.parametrize("recipe", GOOD)
def test_every_variant_hears_it_right(work, recipe):
    folder = built(work, BOOK, BOOK.source("tiny"), recipe)
    assert Transcriber.open(folder).transcribe(ROOT / CLIP).text.strip() == TEXT

"""The clip that README and CI transcribe is heard right by every variant that they build."""

import csv
import re
import shutil

import pytest
from conversions import built, variant_of
from projects import edit
from small_sources import ROOT

from voxbuild import stages
from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace
from voxrun.transcriber import Transcriber

CI = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
CLIP, TEXT = (re.search(rf"^ +{name}: (.+)$", CI, re.MULTILINE)[1] for name in ("CLIP", "HEARD"))
BOOK = read_book(ROOT / "recipes")
GOOD = sorted(name for name, recipe in BOOK.recipes.items() if not recipe.experimental)


def few_recordings(folder):
    """The shortest quarter of the calibration recordings, over which searches take a third of the time."""
    calibration = ROOT / "tiny/clips/calibration"
    folder.mkdir()
    recordings = sorted(calibration.glob("*.flac"), key=lambda path: path.stat().st_size)
    names = {path.name for path in recordings[: len(recordings) // 4]}
    for name in names:
        (folder / name).symlink_to(calibration / name)
    lines = (calibration / "transcripts.tsv").read_text().splitlines(keepends=True)
    (folder / "transcripts.tsv").write_text("".join(each for each in lines if each.split("\t")[0] in names))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of all recipes, and its book; what searches need is measured."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name in ("tiny", "model_cards"):
        (folder / name).symlink_to(ROOT / name)
    few_recordings(folder / "few")
    edit(folder / "recipes/clips/calibration.yaml", "../../tiny/clips/calibration", "../../few")
    work, book = Workspace(folder), read_book(folder / "recipes")
    stages.fetch(work, book.source("tiny"))
    for kind in {recipe.moments for recipe in book.recipes.values() if recipe.moments}:
        stages.calibrate(work, book.source("tiny"), book.clips["calibration"], kind)
    limited = next(name for name in GOOD if book.recipes[name].budget)  # they share a measurement
    stages.measure_sensitivity(variant_of(work, book, book.source("tiny"), limited))
    return work, book


def test_readme_and_ci_show_the_same_clip_and_its_transcript():
    for name in ("README.md", "voxbuild/project/README.md", "docs/compatibility.md"):
        assert set(re.findall(r"tiny/clips/[\w/.-]+\.flac", (ROOT / name).read_text())) == {CLIP}
    assert f"It ends with `{TEXT}`" in (ROOT / "README.md").read_text()
    clip = ROOT / CLIP
    with (clip.parent / "transcripts.tsv").open(newline="") as file:
        assert dict(csv.reader(file, delimiter="\t"))[clip.name] == TEXT


@pytest.mark.slow
@pytest.mark.parametrize("recipe", GOOD)
def test_every_variant_hears_it_right(project, recipe):
    work, book = project
    folder = built(work, book, book.source("tiny"), recipe)
    assert Transcriber.open(folder).transcribe(ROOT / CLIP).text.strip() == TEXT

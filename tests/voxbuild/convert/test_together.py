"""Several recipes over one source in one read: the same bytes, and the errors of one are its own."""

import os
from types import SimpleNamespace

import pytest
from artifacts import contents
from projects import make_project, use_random_source
from small_sources import header_of, params_of, write_checkpoint

from voxbuild import stages
from voxbuild.artifact.variant import Variant
from voxbuild.convert import shard_writer
from voxbuild.convert import shards as module
from voxbuild.errors import ConvertError, SourceError
from voxbuild.folders import Journal
from voxbuild.plan import requirements
from voxbuild.recipes.book import read_book
from voxbuild.tensors import checkpoint
from voxbuild.workspace import Workspace
from voxrun.device import mx
from voxrun.files.hashes import sha256_of

PARAMS = params_of(dim=256, hidden=512, layers=2)
WRONG = "layers.1.feed_forward.w2.weight"
RECIPES = ("4bit", "2bit", "8bit")


class Project:
    def __init__(self, folder, arrays=None):
        self.folder = make_project(folder, recipes=RECIPES, clips=1)
        use_random_source(self.folder, params=PARAMS)
        self.weights = self.folder / "source/consolidated.safetensors"
        if arrays:
            write_checkpoint(self.weights, header_of(PARAMS), arrays)
        self.pin(sha256_of(self.weights))
        two = self.folder / "recipes/2bit.yaml"
        two.write_text(f"{two.read_text()}dtype: float16\nshards: {{max_size: 1MB}}\n")
        self.work = Workspace(self.folder)
        self.fetch()

    def pin(self, sha256):
        source = self.folder / "recipes/sources/tiny.yaml"
        pinned = f"{{name: consolidated.safetensors, sha256: {sha256}}}"
        source.write_text(source.read_text().replace("{name: consolidated.safetensors}", pinned))

    def fetch(self):
        read_book.cache_clear()
        book = read_book(self.work.recipes)
        self.variants = {n: Variant(self.work, book, book.source("tiny"), book.recipe(n)) for n in RECIPES}
        stages.fetch(self.work, book.source("tiny"))

    def convert(self, name, *others):
        return stages.convert(self.variants[name], [self.variants[other] for other in others])

    def built(self, name):
        return contents(self.variants[name].folder)

    def begun(self, name):
        """The files of an unfinished artifact."""
        folder = self.variants[name].partial
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHUNK_BYTES", 2**16)
    monkeypatch.setattr(module, "RECORD_BYTES", 2**18)
    return Project(tmp_path / "together")


@pytest.fixture
def alone(tmp_path):
    """The artifacts of all recipes, each converted for itself."""
    other = Project(tmp_path / "alone")
    for name in RECIPES:
        other.convert(name)
    return {name: other.built(name) for name in RECIPES}


@pytest.fixture
def reads(monkeypatch):
    """The bytes of each read of a source's weights."""
    sizes, original = [], os.preadv

    def counted(descriptor, buffers, start):
        sizes.append(original(descriptor, buffers, start))
        return sizes[-1]

    monkeypatch.setattr(os, "preadv", counted)
    return sizes


def test_three_recipes_have_the_bytes_of_each_alone_and_read_the_source_once(
    project, alone, reads, monkeypatch
):
    project.convert(*RECIPES)
    size = project.weights.stat().st_size
    header = 8 + int.from_bytes(project.weights.read_bytes()[:8], "little")
    assert size - header <= sum(reads) <= size
    assert project.built("4bit") == alone["4bit"]
    assert not project.variants["8bit"].folder.exists()
    del reads[:]
    monkeypatch.setattr("voxbuild.folders.sha256_of", None)  # nor is what was just written hashed again
    for name in RECIPES[1:]:
        project.convert(name)
        assert project.built(name) == alone[name]
    assert sum(reads) == 0
    assert not list(project.variants["4bit"].partial.parent.iterdir())


def test_what_was_written_in_passing_is_hashed_by_another_process_before_it_is_used(
    project, alone, monkeypatch
):
    project.convert(*RECIPES)
    monkeypatch.setattr(Journal, "_proven", {})
    path = project.variants["8bit"].partial / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    project.convert("8bit")
    assert project.built("8bit") == alone["8bit"]


def overflowing(tmp_path):
    """A project whose weights do not fit the recipe in float16."""
    shape = next(t.shape for t in header_of(PARAMS) if t.name == WRONG)
    array = mx.zeros(shape, mx.float32)
    array[-1, -1] = 1e6
    return Project(tmp_path / "overflowing", {WRONG: array.astype(mx.bfloat16)})


@pytest.mark.parametrize("order", [RECIPES, ("2bit", "8bit", "4bit")])
def test_a_plan_that_fails_does_not_spoil_the_others(tmp_path, order, reads):
    project = overflowing(tmp_path)
    said = f"^{WRONG}: a weight is not finite as F16"
    for name in order:
        others = order[1:] if name == order[0] else ()
        if name == "2bit":
            with pytest.raises(ConvertError, match=said):
                project.convert(name, *others)
            assert project.begun(name) == []
        else:
            project.convert(name, *others)
            assert (project.variants[name].folder / "model.safetensors").exists()
        if name == order[0]:
            assert project.begun("8bit") == ["model.safetensors"]
            del reads[:]
    size = project.weights.stat().st_size
    assert sum(reads) <= (size if order[0] != "2bit" else 0)
    assert not (project.variants["2bit"].folder).exists()


def stop_at(patch, number):
    """Ctrl-C at the write of this number, of all writers together."""
    calls = []

    class Stopping(shard_writer.CheckpointWriter):
        def write(self, *data):
            calls.append(data)
            if len(calls) == number:
                raise KeyboardInterrupt
            super().write(*data)

    patch.setattr(shard_writer, "CheckpointWriter", Stopping)


@pytest.mark.parametrize("stops", [(60, 20), (90, 30), (110, 10, 10)])
def test_recipes_that_were_stopped_at_different_places_go_on_together(project, alone, reads, stops):
    selections = [("4bit", "2bit"), ("4bit",), RECIPES]
    for stop, selection in zip(stops, selections, strict=False):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop_at(patch, stop)
            project.convert(*selection)
    project.convert(*RECIPES)
    for name in RECIPES:
        if name != "4bit":
            project.convert(name)
        assert project.built(name) == alone[name]


def test_wrong_weights_leave_nothing_of_any_recipe(project):
    with project.weights.open("r+b") as file:
        file.seek(-2, 2)
        value = file.read(1)
        file.seek(-2, 2)
        file.write(bytes([value[0] ^ 1]))
    project.fetch()
    with pytest.raises(SourceError, match="instead of"):
        project.convert(*RECIPES)
    assert not any(project.begun(name) for name in RECIPES)


def test_an_artifact_that_is_there_is_not_written_again(project):
    project.convert("8bit")
    project.convert(*RECIPES)
    assert project.begun("8bit") == []
    assert project.begun("2bit")


def test_recipes_for_which_there_is_no_room_are_left_for_their_own_turn(project, monkeypatch):
    four = requirements.SMALL_FILES + 2 * project.weights.stat().st_size // 3
    monkeypatch.setattr(requirements.shutil, "disk_usage", lambda folder: SimpleNamespace(free=four))
    project.convert(*RECIPES)
    assert project.variants["4bit"].folder.exists()
    assert not project.begun("2bit")
    assert not project.begun("8bit")


def test_a_recipe_that_cannot_be_planned_is_left_for_its_own_turn(project):
    two = project.folder / "recipes/2bit.yaml"
    two.write_text(two.read_text().replace("quantize: {", "quantize: {rules: [{match: nothing, bits: 8}], "))
    project.fetch()
    project.convert(*RECIPES)
    assert project.begun("2bit") == []
    assert project.begun("8bit") == ["model.safetensors"]

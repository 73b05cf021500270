"""An artifact appears whole or not at all, with the same bytes every time, and voxrun loads it."""

import errno
import shutil

import pytest
from artifacts import contents
from projects import make_project

from voxbuild import convert as convert_module
from voxbuild import stages
from voxbuild.errors import ConvertError, ValidationError
from voxbuild.manifest import Manifest
from voxbuild.recipe import read_book
from voxbuild.workspace import Workspace, read_json, sha256_of, stamp, write_json, write_text
from voxrun.config import ModelConfig
from voxrun.weights import load_model


class Build:
    """A project's parts for one recipe over the embedded model, fetched."""

    def __init__(self, folder, recipe="4bit"):
        self.work = Workspace(make_project(folder, recipes=(recipe,), clips=1))
        book = read_book(self.work.recipes)
        self.source, self.recipe = book.source("tiny"), book.recipe(recipe)
        stages.fetch_source(self.work, self.source)

    def convert(self):
        return stages.convert_artifact(self.work, self.source, self.recipe)

    @property
    def folder(self):
        return self.work.artifact("tiny", self.recipe.name)

    def leftovers(self):
        return list((self.work.out / ".partial").iterdir())


@pytest.fixture
def build(tmp_path):
    return Build(tmp_path / "project")


def test_converting_the_embedded_model_twice_gives_identical_bytes(build, tmp_path):
    digest = build.convert()
    first = contents(build.folder)
    assert build.convert() == digest
    assert contents(build.folder) == first
    other = Build(tmp_path / "elsewhere")
    assert other.convert() == digest
    assert contents(other.folder) == first
    assert build.leftovers() == []


@pytest.mark.parametrize("recipe", ["4bit", "8bit"])
def test_voxrun_loads_what_was_converted(tmp_path, recipe):
    build = Build(tmp_path / "project", recipe)
    build.convert()
    model = load_model(build.folder)
    assert model.config.quantization == {"bits": int(recipe[0]), "group_size": 64}
    assert ModelConfig.from_folder(build.folder).vocab_size == model.config.vocab_size


def test_the_first_manifest_tells_what_the_bytes_follow_from(build):
    build.convert()
    manifest = Manifest.load(build.folder)
    assert not manifest.validated
    assert manifest.damaged(build.folder) == []
    assert set(manifest.files) | {"manifest.json"} == contents(build.folder).keys()
    assert manifest.recipe == {"name": "4bit", "sha256": build.recipe.digest}
    assert manifest.tools == stages.tool_versions()
    weights = manifest.source["files"]["consolidated.safetensors"]
    assert weights == {"size": build.source.files[0].size, "sha256": build.source.files[0].sha256}
    assert read_json(build.folder / "model.safetensors.index.json")["metadata"]["total_parameters"] == (
        manifest.parameters
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left"), ConvertError),
        (OSError(errno.EIO, "Input/output error"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full", "broken", "interrupted"],
)
def test_a_failure_half_way_keeps_the_old_artifact_and_leaves_nothing(build, monkeypatch, error, expected):
    build.convert()
    before = contents(build.folder)
    writes = []

    def failing(self, data):
        writes.append(data)
        if len(writes) > 20:
            raise error
        return original(self, data)

    original = convert_module.CheckpointWriter.write
    monkeypatch.setattr(convert_module.CheckpointWriter, "write", failing)
    with pytest.raises(expected):
        build.convert()
    assert contents(build.folder) == before
    assert build.leftovers() == []


def test_a_manifest_is_not_completed_by_a_validation_of_other_bytes(build):
    build.convert()
    files = Manifest.load(build.folder).weight_files
    for validation in (
        {"passed": False, "artifact": files},
        {"passed": True, "artifact": files | {"config.json": {"size": 1, "sha256": "0" * 64}}},
    ):
        write_json(build.folder / "validation.json", validation)
        write_text(build.folder / "README.md", "card")
        with pytest.raises(ValidationError, match="not a passed one of these very files"):
            stages.finish_manifest(build.work, build.source, build.recipe)
    assert not Manifest.load(build.folder).validated


def test_a_text_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep/text"
    write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", lambda self, target: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            write_text(path, "new")
    assert path.read_text() == "old"


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = stamp(path)
    assert stamp(path) == first
    shutil.copy2(path, tmp_path / "copy")
    assert stamp(tmp_path / "copy") != first
    assert sha256_of(tmp_path / "copy") == sha256_of(path)

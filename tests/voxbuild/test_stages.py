"""An artifact appears completely or not at all, with the same bytes every time, and voxrun loads it."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from artifacts import contents
from projects import ROOT, make_project

from voxbuild import stages
from voxbuild.artifact.manifest import Manifest, plain, read_validation
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.convert.shard_writer import CheckpointWriter
from voxbuild.errors import ConvertError, SourceError, ValidationError, VoxbuildError
from voxbuild.files import read_json, stamp, write_json, write_text
from voxbuild.recipes.book import read_book
from voxbuild.tasks.overview import show_table
from voxbuild.workspace import Workspace
from voxrun.checkpoint.layout import Layout
from voxrun.files.hashes import sha256_of
from voxrun.model.load import load_model


class Build:
    """A project's parts for one recipe over the embedded model, fetched."""

    def __init__(self, folder, recipe="4bit"):
        self.work = Workspace(make_project(folder, recipes=(recipe,), clips=1))
        self.book = book = read_book(self.work.recipes)
        self.source, self.recipe = book.source("tiny"), book.recipe(recipe)
        self.variant = Variant(self.work, book, self.source, self.recipe)
        stages.fetch(self.work, self.source)

    def convert(self):
        return stages.convert(self.variant)["weights"]

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
    assert Layout(build.folder).config.vocab_size == model.config.vocab_size


def test_the_first_manifest_records_everything_the_bytes_depend_on(build):
    build.convert()
    manifest = Manifest.load(build.folder)
    assert not manifest.validated
    assert manifest.damaged(build.folder) == []
    assert set(manifest.files) | {"manifest.json"} == contents(build.folder).keys()
    assert manifest.recipe == {"name": "4bit"}
    assert manifest.tools == tool_versions()
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
def test_a_failure_keeps_the_old_artifact_and_leaves_no_files(build, monkeypatch, error, expected):
    build.convert()
    before = contents(build.folder)
    writes = []

    def failing(self, *data):
        writes.extend(data)
        if len(writes) > 20:
            raise error
        return original(self, *data)

    original = CheckpointWriter.write
    monkeypatch.setattr(CheckpointWriter, "write", failing)
    with pytest.raises(expected):
        build.convert()
    assert contents(build.folder) == before
    assert build.leftovers() == []


def test_changed_weights_are_not_validated(build):
    build.convert()
    write_text(build.folder / "config.json", "{}")
    with pytest.raises(ValidationError, match=r"changed since conversion: config\.json"):
        stages.validate(build.variant)


def test_leftovers_of_a_killed_run_do_not_block_the_next(build):
    build.convert()
    for name in ("tiny--4bit", "tiny--4bit.old"):
        (build.work.out / ".partial" / name).mkdir()
        (build.work.out / ".partial" / name / "half").touch()
    build.convert()
    assert build.leftovers() == []


def test_an_artifact_that_cannot_be_put_in_place_leaves_the_old_one(build, monkeypatch):
    build.convert()
    before, rename = contents(build.folder), Path.rename

    def failing(path, target):
        if path.name == "tiny--4bit":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        build.convert()
    assert contents(build.folder) == before
    monkeypatch.undo()
    build.convert()
    assert build.leftovers() == []


def test_a_missing_card_template_is_reported_before_converting(build):
    missing = build.recipe.model_copy(update={"card": "no.md.j2"})
    with pytest.raises(VoxbuildError, match=r"no card template no\.md\.j2; known: voxtral\.md\.j2"):
        stages.write_plan(replace(build.variant, recipe=missing))


def test_a_manifest_is_not_completed_by_a_validation_of_other_bytes(build):
    build.convert()
    files = plain(Manifest.load(build.folder).weight_files)
    for validation in (
        {"passed": False, "artifact": files},
        {"passed": True, "artifact": files | {"config.json": {"size": 1, "sha256": "0" * 64}}},
    ):
        write_json(build.folder / "validation.json", validation)
        write_text(build.folder / "README.md", "card")
        with pytest.raises(ValidationError, match="does not say that these files passed"):
            stages.finish_manifest(build.variant)
    assert not Manifest.load(build.folder).validated


def test_a_text_file_is_written_completely_or_not_at_all(tmp_path, monkeypatch):
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


@pytest.mark.parametrize(
    "name", ["consolidated.safetensors", "params.json", "deep/model.safetensors", ".hidden.json", "link"]
)
def test_foreign_files_in_the_artifact_prevent_validation(build, monkeypatch, name):
    build.convert()
    monkeypatch.setattr(stages, "both_hear", lambda *_: pytest.fail("heard what is not in the manifest"))
    path = build.folder / name
    path.parent.mkdir(exist_ok=True)
    if name == "link":
        path.symlink_to(build.work.root)
    else:
        path.write_bytes(b"heard instead")
    with pytest.raises(VoxbuildError, match=rf"not in its manifest: '{name}'; remove these files"):
        stages.validate(build.variant)
    assert not Manifest.load(build.folder).validated


def test_files_of_tools_and_killed_runs_are_not_foreign(build):
    build.convert()
    for name in (".DS_Store", ".README.md.123.partial"):
        (build.folder / name).touch()
    Manifest.load(build.folder).refuse_unlisted(build.folder)


def hear_reference(build):
    stages.transcribe_reference(build.work, build.source, build.book.clips["few"])
    return build.work.reference_file("tiny", "few")


def test_a_source_that_does_not_hear_the_clips_is_refused_before_its_artifacts(build):
    assert hear_reference(build).is_file()
    transcripts = build.work.root / "few/transcripts.tsv"
    name = transcripts.read_text().partition("\t")[0]
    transcripts.write_text(f"{name}\tel perro de san roque no tiene rabo\n")
    build.work.reference_file("tiny", "few").unlink()
    with pytest.raises(
        ValidationError, match="the unquantized source tiny has a WER of 100 % on few; 75 % is"
    ):
        hear_reference(build)
    assert not build.work.reference_file("tiny", "few").exists()


def test_an_artifact_without_finite_results_fails_the_same_way_each_time(build, monkeypatch):
    """Also by gates that do not limit what is not finite; its report can be read and shown."""
    build.convert()
    hear_reference(build)
    both_hear = stages.both_hear

    def without_finite_results(*arguments):
        heard, reference = both_hear(*arguments)
        return {
            name: replace(each, kl=np.full_like(each.kl, np.nan)) for name, each in heard.items()
        }, reference

    monkeypatch.setattr(stages, "both_hear", without_finite_results)
    for _ in range(2):
        with pytest.raises(
            ValidationError, match=r"does not pass its gates(.|\n)*kl_p99 .* not finite .* FAIL"
        ):
            stages.validate(build.variant)
        report = read_validation(build.folder)
        assert (report["passed"], report["fidelity"]["kl_mean"]) == (False, None)
    table = show_table(build.work, build.book, "tiny", ["4bit"])
    top1, *others = [cell.strip() for cell in table.splitlines()[-1].split("|")[-5:-1]]
    assert top1.endswith(" to 100.00)")
    assert others == ["not finite", "not finite", "FAIL"]
    with pytest.raises(ValidationError, match="does not say that these files passed"):
        stages.finish_manifest(build.variant)


def test_weights_without_their_pinned_hash_hear_nothing(build):
    """They would be refused when they are converted, but what they heard before would be kept."""
    few, reference = build.book.clips["few"], build.work.reference_file("tiny", "few")
    (build.work.root / "tiny").unlink()
    folder = shutil.copytree(ROOT / "tiny/checkpoint", build.work.root / "tiny/checkpoint")
    weights = folder / "consolidated.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    stages.fetch(build.work, build.source)
    for stage in (stages.transcribe_reference, stages.calibrate):
        with pytest.raises(SourceError, match=r"consolidated.safetensors: sha256 .* instead of"):
            stage(build.work, build.source, few)
    assert not reference.exists()
    weights.write_bytes(content)
    stages.fetch(build.work, build.source)
    stages.transcribe_reference(build.work, build.source, few)
    assert reference.exists()

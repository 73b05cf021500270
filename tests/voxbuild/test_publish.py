"""The local registry as the genuine client reads it; and what may be published at all."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from artifacts import RECIPE, REPO, contents, make_artifact, make_release
from huggingface_hub.errors import LocalEntryNotFoundError

from voxbuild import registry as module
from voxbuild.errors import PublishError, VoxbuildError
from voxbuild.manifest import MANIFEST, VALIDATION, Manifest, file_entry
from voxbuild.publish import prepare
from voxbuild.registry import LocalRegistry
from voxbuild.workspace import read_json, write_json


def found(registry, tag):
    """What the Hub's client finds offline: every file's path and bytes."""
    return contents(
        Path(huggingface_hub.snapshot_download(REPO, revision=tag, cache_dir=registry, local_files_only=True))
    )


def test_the_hubs_client_finds_identical_files_by_tag(tmp_path):
    release = make_release(tmp_path / "a")
    address = LocalRegistry(tmp_path / "registry").publish(release)
    assert address == f"{REPO} at v1 in {tmp_path / 'registry'}"
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")
    assert found(tmp_path / "registry", "main") == contents(tmp_path / "a")
    assert {"README.md", MANIFEST, VALIDATION} <= contents(tmp_path / "a").keys()


def test_the_registry_needs_the_artifact_no_more(tmp_path):
    release = make_release(tmp_path / "a")
    before = contents(tmp_path / "a")
    LocalRegistry(tmp_path / "registry").publish(release)
    shutil.rmtree(tmp_path / "a")
    shutil.move(tmp_path / "registry", tmp_path / "moved")
    assert found(tmp_path / "moved", "v1") == before


def test_publishing_again_does_nothing(tmp_path):
    registry, release = LocalRegistry(tmp_path / "registry"), make_release(tmp_path / "a")
    assert not registry.published(release)
    registry.publish(release)
    stamps = {path: path.lstat().st_mtime_ns for path in (tmp_path / "registry").rglob("*")}
    assert registry.published(release)
    registry.publish(release)
    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "registry").rglob("*")} == stamps


def test_another_artifact_under_the_same_tag_is_refused(tmp_path):
    registry = LocalRegistry(tmp_path / "registry")
    registry.publish(make_release(tmp_path / "a"))
    other = make_release(tmp_path / "b", b"other weights")
    for attempt in (registry.published, registry.publish):
        with pytest.raises(PublishError, match="v1 holds another artifact; published tags never"):
            attempt(other)
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")


def test_another_tag_takes_it_and_the_first_one_stays(tmp_path):
    registry = LocalRegistry(tmp_path / "registry")
    registry.publish(make_release(tmp_path / "a"))
    registry.publish(make_release(tmp_path / "b", b"other weights", tag="v2"))
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")
    assert found(tmp_path / "registry", "v2") == contents(tmp_path / "b")
    assert found(tmp_path / "registry", "main") == contents(tmp_path / "b")


@pytest.mark.parametrize("failing", range(5))
def test_an_interrupted_publish_leaves_no_ref_and_can_be_repeated(tmp_path, monkeypatch, failing):
    registry, release = LocalRegistry(tmp_path / "registry"), make_release(tmp_path / "a")
    copies = []

    def copyfile(source, target):
        copies.append(target)
        target.write_bytes(source.read_bytes()[:3])
        if len(copies) > failing:
            raise OSError("the power is gone")
        return original(source, target)

    original = shutil.copyfile
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "copyfile", copyfile)
        with pytest.raises(OSError, match="the power is gone"):
            registry.publish(release)
    assert not list((tmp_path / "registry").glob("*/refs/*"))
    with pytest.raises(LocalEntryNotFoundError):
        found(tmp_path / "registry", "v1")
    registry.publish(release)
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")
    assert not list((tmp_path / "registry").rglob("*.partial"))


def refused(folder, tag="v1", recipe=RECIPE):
    with pytest.raises(VoxbuildError) as caught:
        prepare(folder, recipe, REPO, tag)
    return str(caught.value)


def test_an_artifact_of_an_older_recipe_is_refused(tmp_path):
    assert "the recipe has changed" in refused(make_artifact(tmp_path / "a"), recipe="decaf")


def test_what_is_not_validated_is_refused(tmp_path):
    assert "not validated" in refused(make_artifact(tmp_path / "a", validated=False))
    claimed = make_artifact(tmp_path / "b")
    only_weights = Manifest.load(claimed).weight_files
    (claimed / VALIDATION).unlink()
    Manifest(**(vars(Manifest.load(claimed)) | {"files": only_weights})).save(claimed)
    assert "not validated" in refused(claimed)


@pytest.mark.parametrize("name", ["model.safetensors", "tekken.json", "README.md", VALIDATION])
def test_one_flipped_bit_is_refused(tmp_path, name):
    folder = make_artifact(tmp_path / "a")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert refused(folder) == f"{folder}: differs from its manifest: {name}; build it again"


def test_a_missing_file_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    (folder / "model.safetensors").unlink()
    assert "differs from its manifest: model.safetensors" in refused(folder)


def test_a_validation_of_other_bytes_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    write_json(folder / VALIDATION, read_json(make_artifact(tmp_path / "b", b"other") / VALIDATION))
    seal(folder)
    assert refused(folder).endswith("validation.json is not a passed one of these very files")


def test_a_failed_validation_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    write_json(folder / VALIDATION, read_json(folder / VALIDATION) | {"passed": False})
    seal(folder)
    assert refused(folder).endswith("validation.json is not a passed one of these very files")


def seal(folder):
    """Make the manifest agree with the validation that lies there now."""
    manifest = Manifest.load(folder)
    files = manifest.files | {VALIDATION: file_entry(folder / VALIDATION)}
    Manifest(**(vars(manifest) | {"files": files})).save(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"variant": "4bit"}', json.dumps({"unknown": 1})])
def test_a_manifest_that_is_none_is_told(tmp_path, content):
    folder = make_artifact(tmp_path / "a")
    (folder / MANIFEST).write_text(content)
    assert "no readable manifest" in refused(folder)


@pytest.mark.parametrize("tag", ["", "main", "../v1", "a/b", ".hidden", "v 1", "-v"])
def test_a_tag_that_is_none_is_refused(tmp_path, tag):
    assert "is no tag" in refused(make_artifact(tmp_path / "a"), tag)


def test_a_release_lists_all_files_the_manifest_last(tmp_path):
    release = make_release(tmp_path / "a")
    assert list(release.files) == [
        "README.md",
        "model.safetensors",
        "provenance.json",
        "tekken.json",
        VALIDATION,
        MANIFEST,
    ]

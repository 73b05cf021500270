"""Which artifacts may be published."""

import json
import shutil

import pytest
from artifacts import RECIPE, REPO, make_artifact, make_release, sign_artifact
from hub_server.refs import NAME

from voxbuild.artifact.manifest import MANIFEST, PROVENANCE, SIGNATURE, VALIDATION, Manifest, file_entry
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_json, write_json
from voxbuild.publish import release as module
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.release import prepare
from voxbuild.publish.target import Destination, check_branch


def refused(folder, tag="v1", recipe=RECIPE):
    with pytest.raises(VoxbuildError) as caught:
        prepare(folder, recipe, REPO, tag)
    return str(caught.value)


def test_an_artifact_of_an_older_recipe_is_refused(tmp_path):
    assert "the recipe has changed" in refused(make_artifact(tmp_path / "a"), recipe="decaf")


def test_an_unvalidated_artifact_is_refused(tmp_path):
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


def test_a_manifest_with_paths_outside_its_folder_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    manifest = Manifest.load(folder)
    (tmp_path / "secret").write_text("secret")
    files = manifest.files | {"../secret": file_entry(tmp_path / "secret")}
    Manifest(**(vars(manifest) | {"files": files})).save(folder)
    assert "'../secret' is no name of an artifact's file" in refused(folder)


def test_a_missing_required_signature_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    sign_artifact(make_artifact(tmp_path / "b"))
    signer, stranger = tmp_path / "a.pub", tmp_path / "b.pub"
    with pytest.raises(
        VoxbuildError, match=r"a: not signed, but it must be, .*; build it again, and sign it"
    ):
        prepare(folder, RECIPE, REPO, "v1", stranger)
    sign_artifact(folder)
    with pytest.raises(VoxbuildError, match="not signed with the private key of"):
        prepare(folder, RECIPE, REPO, "v1", stranger)
    assert list(prepare(folder, RECIPE, REPO, "v1", signer).files)[-2:] == [MANIFEST, SIGNATURE]


def test_a_wrong_signature_is_refused_even_if_none_is_required(tmp_path):
    folder, other = make_artifact(tmp_path / "a"), make_artifact(tmp_path / "b", b"other weights")
    (folder / SIGNATURE).write_bytes(sign_artifact(other))
    assert "model.sig: manifest.json was another when it was signed; " in refused(folder)
    (folder / SIGNATURE).write_bytes(b"signed")
    assert "no readable JSON" in refused(folder)


def test_a_missing_file_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    (folder / "model.safetensors").unlink()
    assert "differs from its manifest: model.safetensors" in refused(folder)


def test_a_validation_of_other_bytes_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    write_json(folder / VALIDATION, read_json(make_artifact(tmp_path / "b", b"other") / VALIDATION))
    seal(folder)
    assert refused(folder).startswith(
        f"{folder}: validation.json does not say that these files passed; build it again"
    )


def test_a_failed_validation_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "a")
    write_json(folder / VALIDATION, read_json(folder / VALIDATION) | {"passed": False})
    seal(folder)
    assert refused(folder).startswith(
        f"{folder}: validation.json does not say that these files passed; build it again"
    )


def test_an_artifact_that_would_fail_verification_is_not_published(tmp_path):
    folder = make_artifact(tmp_path / "a")
    write_json(folder / PROVENANCE, read_json(make_artifact(tmp_path / "b", b"other") / PROVENANCE))
    seal(folder, PROVENANCE)
    expected = "provenance.json: model.safetensors has another hash than in the manifest; "
    assert f"{folder}: {expected}" in refused(folder)
    manifest = Manifest.load(folder)
    files = {name: entry for name, entry in manifest.files.items() if name != PROVENANCE}
    Manifest(**(vars(manifest) | {"files": files})).save(folder)
    assert "not in its manifest: 'provenance.json'" in refused(folder)
    (folder / PROVENANCE).unlink()
    assert "provenance.json is missing" in refused(folder)


def test_an_artifact_that_changes_while_it_is_prepared_is_not_published(tmp_path, monkeypatch):
    """The manifest that was checked is the one that is promised, and it is sent as such or not at all."""
    folder = make_artifact(tmp_path / "a")
    checked = file_entry(folder / MANIFEST)

    def unvalidate(*arguments):
        Manifest.load(folder).unvalidated().save(folder)
        return []

    with monkeypatch.context() as patch, pytest.raises(VoxbuildError, match="changed between two reads"):
        patch.setattr(module, "check_card", unvalidate)
        prepare(folder, RECIPE, REPO, "v1")
    shutil.rmtree(folder)
    make_artifact(folder)
    monkeypatch.setattr(module, "proofs", unvalidate)
    release = prepare(folder, RECIPE, REPO, "v1")
    assert release.files[MANIFEST] == checked
    with pytest.raises(VoxbuildError, match=r"manifest\.json: changed while it was being published"):
        LocalRegistry(tmp_path / "registry").publish(release, Destination())


def seal(folder, name=VALIDATION):
    """Make the manifest agree with a file that lies there now."""
    manifest = Manifest.load(folder)
    files = manifest.files | {name: file_entry(folder / name)}
    Manifest(**(vars(manifest) | {"files": files})).save(folder)


def test_a_validation_without_figures_is_one_sentence(tmp_path):
    folder = make_artifact(tmp_path / "a")
    report = read_json(folder / VALIDATION)
    write_json(folder / VALIDATION, {"passed": True, "artifact": report["artifact"]})
    seal(folder)
    assert "card or validation cannot be read: 'sets'" in refused(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"variant": "4bit"}', json.dumps({"unknown": 1})])
def test_a_malformed_manifest_is_reported(tmp_path, content):
    folder = make_artifact(tmp_path / "a")
    (folder / MANIFEST).write_text(content)
    assert "cannot read the manifest" in refused(folder)


@pytest.mark.parametrize(
    "tag",
    [
        *("", "main", "../v1", "a/b", ".hidden", "v 1", "-v", "withdrawn-v1", "withdrawn", "0123456789" * 4),
        *("v1..3", "x.lock", "v1.", "v\u00e9", "v\u0661", "v" * 101, "v1\n", "v1~", "HEAD", "refs"),
    ],
)
def test_an_invalid_tag_is_refused(tmp_path, tag):
    assert "is not a valid tag" in refused(make_artifact(tmp_path / "a"), tag)


@pytest.mark.parametrize("tag", ["v1", "2026.11", "_x", "v1.lock.2", "v" * 100, "a-b_c.d"])
def test_a_tag_that_git_accepts_is_accepted(tmp_path, tag):
    assert make_release(tmp_path / "a", tag=tag).tag == tag
    assert NAME.fullmatch(tag)


@pytest.mark.parametrize("branch", ["main", "refs/pr/1", "a//b", "a/", "/a", "a/b.lock", "a..b", "withdrawn"])
def test_an_invalid_branch_is_refused(branch):
    with pytest.raises(VoxbuildError, match=r"(is not a valid|cannot be a) branch"):
        check_branch(branch)


def test_branch_names_may_contain_slashes():
    check_branch("review/v2.1/trial")


def test_a_release_lists_all_files_with_the_manifest_last(tmp_path):
    release = make_release(tmp_path / "a")
    assert list(release.files) == [
        "README.md",
        "model.safetensors",
        "provenance.json",
        "tekken.json",
        VALIDATION,
        MANIFEST,
    ]


def test_a_file_that_the_manifest_does_not_list_prevents_publishing(tmp_path):
    folder = make_artifact(tmp_path / "a")
    (folder / "consolidated.safetensors").write_bytes(b"heard instead")
    assert "not in its manifest: 'consolidated.safetensors'" in refused(folder)

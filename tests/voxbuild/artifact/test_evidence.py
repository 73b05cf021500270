"""Evidence of a remote artifact, checked by hashes alone: facts are reported, contradictions refused."""

import pytest
from artifacts import RECIPE, REPO, make_artifact
from cards import make_manifest
from keys import write_keys

from voxbuild.artifact.evidence import prove_provenance, prove_signature
from voxbuild.artifact.manifest import PROVENANCE, Manifest, file_entry
from voxbuild.artifact.provenance import contradictions
from voxbuild.artifact.signature import sign
from voxbuild.errors import PublishError, SigningError
from voxbuild.publish.release import prepare
from voxrun.errors import TrustError


@pytest.fixture
def artifact(tmp_path):
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path)


def asked(folder, key=None):
    """As if the folder were far away."""
    entries = {path.name: file_entry(path) for path in folder.iterdir()}

    def read(name):
        return (folder / name).read_bytes()

    return [prove_provenance(entries, read), prove_signature(entries, read, key)]


def test_what_is_proven_is_reported(artifact, keys):
    first = "provenance.json covers exactly these files"
    assert asked(artifact) == [first, "not signed"]
    sign(artifact, *keys)
    unchecked = "signed; the key was not checked: give key=PUBLIC.pem"
    assert asked(artifact) == [first, unchecked]
    assert asked(artifact, keys[1]) == [first, f"signed with the private key of {keys[1]}"]


def test_a_missing_signature_is_refused_where_one_is_required(artifact, keys, tmp_path):
    with pytest.raises(PublishError, match="not signed, but it must be"):
        asked(artifact, keys[1])
    sign(artifact, *keys)
    with pytest.raises(TrustError, match="not signed with the private key of"):
        asked(artifact, write_keys(tmp_path, "other")[1])


def test_other_files_than_those_of_the_manifest_are_refused(artifact, keys):
    sign(artifact, *keys)
    (artifact / "tekken.json").write_text("{ }")
    for key in (None, keys[1]):
        with pytest.raises(PublishError, match=r"tekken\.json"):
            asked(artifact, key)


def test_a_signature_of_another_manifest_is_refused(artifact, keys):
    sign(artifact, *keys)
    signature = (artifact / "model.sig").read_bytes()
    manifest = Manifest.load(artifact)
    Manifest(**(vars(manifest) | {"parameters": 1})).save(artifact)
    (artifact / "model.sig").write_bytes(signature)
    for key in (None, keys[1]):
        with pytest.raises(PublishError, match=r"manifest\.json was another when it was signed"):
            asked(artifact, key)


def test_an_artifact_without_provenance_is_refused(artifact):
    (artifact / PROVENANCE).unlink()
    with pytest.raises(PublishError, match=r"provenance\.json is missing"):
        asked(artifact)


def test_provenance_of_other_files_is_refused(artifact):
    (artifact / "more.txt").write_text("of which it says nothing")
    with pytest.raises(PublishError, match=r"provenance\.json: more\.txt is none of its subjects"):
        asked(artifact)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"device": "gpu"}, "device"),
        ({"tools": {"voxbuild": "0.0.1"}}, "tools"),
        ({"source": {"name": "tiny", "files": {"a": {"size": 1, "sha256": "0" * 64}}}}, "source"),
        ({"source": {"name": "tiny", "repo": "some/one", "revision": "0" * 40, "files": {}}}, "source"),
        ({"source": {"name": "tiny", "files": {"a": 5}}}, "source"),
        ({"source": {"name": "tiny", "files": 5}}, "source"),
        ({"source": {}}, "source"),
        ({"variant": "bf16"}, "variant"),
        ({"recipe": {"name": "bf16", "digest": RECIPE}}, "recipe"),
        ({"view": {"dialect": "mlx-audio", "artifact": "0" * 64}}, "kind of build"),
    ],
)
def test_a_manifest_that_contradicts_the_provenance_is_refused(artifact, keys, change, expected):
    Manifest(**(vars(Manifest.load(artifact)) | change)).save(artifact)
    match = f"manifest.json and provenance.json differ in: {expected}"
    with pytest.raises(PublishError, match=match):
        asked(artifact)
    with pytest.raises(SigningError, match=match):
        sign(artifact, *keys)
    with pytest.raises(PublishError, match=match):
        prepare(artifact, RECIPE, REPO, "v1")


@pytest.mark.parametrize("predicate", [{}, [], 5, {"buildDefinition": [], "runDetails": {"builder": 5}}])
def test_empty_provenance_is_refused(predicate):
    assert len(contradictions(make_manifest(source={"name": "tiny"}), {"predicate": predicate})) >= 6


def test_a_lock_that_contradicts_the_manifest_is_refused(tmp_path):
    lock = b'{"source": {"files": {}, "name": "tiny"}, "tools": {"voxbuild": "another"}}'
    artifact = make_artifact(tmp_path / "a", extra={"recipe.lock": lock})
    with pytest.raises(PublishError, match=r"manifest\.json and recipe\.lock differ in: tools$"):
        asked(artifact)

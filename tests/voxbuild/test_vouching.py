"""What a remote artifact proves is told; what it does not prove is refused. Only hashes are known here."""

import pytest
from artifacts import make_artifact
from keys import write_keys

from voxbuild.errors import PublishError
from voxbuild.manifest import PROVENANCE, Manifest, file_entry
from voxbuild.signature import sign
from voxbuild.vouching import made, signed
from voxrun.errors import TrustError
from voxrun.manifest import Entry


@pytest.fixture
def artifact(tmp_path):
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path)


def asked(folder, key=None):
    """As if the folder were far away."""
    entries = {path.name: Entry(**file_entry(path)) for path in folder.iterdir()}

    def read(name):
        return (folder / name).read_bytes()

    return [made(entries, read), signed(entries, read, key)]


def test_what_is_proven_is_told(artifact, keys):
    first = "provenance.json tells what these very files were made from"
    assert asked(artifact) == [first, "not signed"]
    sign(artifact, *keys)
    unchecked = "signed; whose signature it is was not checked: say key=PUBLIC.pem"
    assert asked(artifact) == [first, unchecked]
    assert asked(artifact, keys[1]) == [first, f"signed with the private key of {keys[1]}"]


def test_what_should_be_signed_and_is_not_is_refused(artifact, keys, tmp_path):
    with pytest.raises(PublishError, match="not signed, though it should be"):
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


def test_a_signature_that_was_made_for_another_manifest_is_refused(artifact, keys):
    sign(artifact, *keys)
    signature = (artifact / "model.sig").read_bytes()
    manifest = Manifest.load(artifact)
    Manifest(**(vars(manifest) | {"variant": "another"})).save(artifact)
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

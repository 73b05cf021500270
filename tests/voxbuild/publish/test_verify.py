"""A published release is compared with its manifest and with the build; any other byte is found."""

import hashlib
import json
import shutil

import pytest
from artifacts import statement_of
from keys import write_keys
from projects import FAILED, doit
from releases import REPO, book_of, make_releasable, put_artifact

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE, VALIDATION, Manifest
from voxbuild.artifact.signature import sign
from voxbuild.errors import DifferenceError
from voxbuild.publish.order import Order
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.upload import publish
from voxbuild.publish.verify import verify
from voxrun.trust.manifest import Entry
from voxrun.trust.provenance import check_provenance


@pytest.fixture
def work(tmp_path):
    """A project whose artifact is published as v1."""
    work = make_releasable(tmp_path / "project")
    publish(work, book_of(work), Order("4bit", tag="v1"))
    return work


@pytest.fixture
def told(work, capsys):
    """Verify; whether all is right, and what was said."""

    def run(tag="v1", named=True, key=None):
        capsys.readouterr()
        try:
            verify(work, book_of(work), Order("4bit", named=named, tag=tag, key=key))
            return True, capsys.readouterr().out
        except DifferenceError:
            return False, capsys.readouterr().out

    return run


def stored(work, name):
    """The blob of a published file."""
    return next(work.registry.glob(f"*/snapshots/*/{name}")).resolve()


def test_an_unchanged_release_is_verified(work, told):
    digest = hashlib.sha256((work.artifact("tiny", "4bit") / MANIFEST).read_bytes()).hexdigest()[:16]
    size = sum(p.stat().st_size for p in work.artifact("tiny", "4bit").iterdir())
    assert told() == (
        True,
        f"4bit over tiny: {REPO} at v1\n"
        f"   all 6 files match the manifest {digest}, {size:,} bytes\n"
        "   validated with exactly these files\n"
        "   provenance.json covers exactly these files\n"
        "   not signed\n"
        f"   the same as {work.artifact('tiny', '4bit')}\n",
    )


@pytest.mark.parametrize("name", ["model.safetensors", "tekken.json", "README.md", VALIDATION])
def test_every_file_that_differs_is_named(work, told, name):
    blob = stored(work, name)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    right, text = told()
    assert not right
    assert f"!! {name} has the sha256 " in text
    assert "validated as" not in text
    blob.write_bytes(content + b"x")
    assert f"!! {name} has {len(content) + 1:,} bytes, not {len(content):,}\n" in told()[1]
    blob.unlink()
    assert f"!! {name} is missing\n" in told()[1]


def test_an_unlisted_file_is_named(work, told):
    (stored(work, MANIFEST).parents[1] / "snapshots").joinpath(commit(work), "extra.bin").write_text("x")
    assert "!! extra.bin is not in the manifest\n" in told()[1]
    assert not told()[0]


def commit(work):
    return LocalRegistry(work.registry).history(REPO)[0].commit


def change_manifest(work, change):
    """Let somebody change the published manifest."""
    manifest = json.loads(stored(work, MANIFEST).read_text())
    change(manifest)
    stored(work, MANIFEST).write_text(json.dumps(manifest))


def test_a_manifest_that_differs_from_the_local_one_is_reported(work, told):
    change_manifest(work, lambda manifest: manifest.update(model="Another"))
    right, text = told()
    assert not right
    assert f"!! {work.artifact('tiny', '4bit')} holds another artifact, with the manifest " in text
    shutil.rmtree(work.artifact("tiny", "4bit"))
    assert told()[0], "a valid one, as far as can be known where nothing is built"


def test_a_hostile_manifest_is_one_line(work, told):
    for content in ("", "[]", "[" * 10**5, '{"files": {"../x": {"size": 1, "sha256": ""}}}', '{"files": {}}'):
        stored(work, MANIFEST).write_text(content)
        right, text = told()
        assert not right
        assert text.count("\n") == 2
        assert f"!! {REPO} at v1: manifest.json" in text


@pytest.mark.parametrize("change", [{"passed": False}, {"passed": "yes"}, {"artifact": {}}])
def test_a_validation_of_other_files_is_reported(work, told, change):
    report = stored(work, VALIDATION)
    report.write_text(json.dumps(json.loads(report.read_text()) | change))
    entry = {"size": report.stat().st_size, "sha256": hashlib.sha256(report.read_bytes()).hexdigest()}
    change_manifest(work, lambda manifest: manifest["files"].update({VALIDATION: entry}))
    right, text = told()
    assert not right
    assert "!! validation.json does not say that these files passed\n" in text


def test_the_signature_is_verified_too(work, told):
    put_artifact(work, signed=True)
    publish(work, book_of(work), Order("4bit", tag="v2"))
    assert LocalRegistry(work.registry).read(REPO, "v2", SIGNATURE, 10**6)
    assert "all 6 files" in told()[1]
    assert "   not signed\n" in told()[1]
    assert "all 7 files" in told("v2")[1]
    stored(work, SIGNATURE).write_bytes(b"signed")
    assert "model.sig: no readable JSON" in told("v2")[1]


@pytest.fixture
def keys(work, tmp_path):
    """A signed release of the artifact, as v2, and the pair that signed it."""
    pair = write_keys(tmp_path)
    sign(work.artifact("tiny", "4bit"), *pair)
    publish(work, book_of(work), Order("4bit", tag="v2"))
    return pair


def test_the_signer_is_named_if_a_key_is_given(keys, told, tmp_path):
    right, text = told("v2")
    assert right
    assert "all 7 files" in text
    assert "   signed; the key was not checked: give key=PUBLIC.pem\n" in text
    unchecked = "signed; the key was not checked: give key=PUBLIC.pem"
    checked = f"signed with the private key of {keys[1]}"
    assert told("v2", key=keys[1]) == (True, text.replace(unchecked, checked))
    _, stranger = write_keys(tmp_path, "stranger")
    right, text = told("v2", key=stranger)
    assert not right
    assert f"not signed with the private key of {stranger}" in text


def test_with_a_key_an_unsigned_release_fails(told, tmp_path):
    right, text = told("v1", key=write_keys(tmp_path)[1])
    assert not right
    assert "!! not signed, but it must be" in text


def test_a_signature_of_another_manifest_fails(keys, work, told):
    """Somebody has changed the published manifest, and all hashes in it fit."""
    change_manifest(work, lambda manifest: manifest.update(model="Another"))
    right, text = told("v2", key=keys[1])
    assert not right
    assert "model.sig: manifest.json was another when it was signed" in text


def test_provenance_of_other_files_fails(work, told):
    other = statement_of({"model.safetensors": Entry(1, "0" * 64)})
    stored(work, "provenance.json").write_text(json.dumps(other))
    data = stored(work, "provenance.json").read_bytes()
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change_manifest(work, lambda manifest: manifest["files"].update({"provenance.json": entry}))
    right, text = told()
    assert not right
    assert "provenance.json: model.safetensors has another hash than in the manifest" in text


def test_a_missing_release_is_reported(work, told):
    assert f"!! {REPO} at v7 is not in the registry" in told("v7")[1]
    assert not told("v7")[0]


def test_a_withdrawn_release_is_reported(work, told):
    LocalRegistry(work.registry).yank(REPO, "v1", "deaf")
    right, text = told()
    assert right
    assert "   withdrawn: deaf\n" in text


def test_unvalidated_variants_are_verified_only_by_name(work, told):
    folder = work.artifact("tiny", "4bit")
    Manifest.load(folder).unvalidated().save(folder)
    assert told(named=False) == (True, "4bit over tiny: not validated, so not published\n")
    assert not told(named=True)[0]
    (folder / MANIFEST).write_text("{")
    right, text = told(named=False)
    assert not right
    assert "cannot read the manifest" in text


def test_foreign_text_is_one_printable_line(work, told):
    (stored(work, MANIFEST).parents[1] / "snapshots").joinpath(commit(work), "a\x1b[2K\nb").write_text("x")
    assert told()[1].endswith("\n!! a [2K b is not in the manifest\n")
    other = statement_of({"x\x1b[2K\ny": Entry(1, "0" * 64)})
    assert check_provenance(json.dumps(other).encode(), {}) == [
        r"provenance.json: 'x\x1b[2K\ny' is there twice, or without a sha256, or no path"
    ]


@pytest.mark.slow
def test_all_builds_are_verified_and_the_exit_code_reports_failures(work):
    process = doit(work.root, "verify", "tag=v1")
    assert process.returncode == 0
    assert "all 6 files match" in process.stdout
    stored(work, "tekken.json").write_bytes(b"[]")
    process = doit(work.root, "verify", "recipe=4bit", "tag=v1", "target=registry")
    assert process.returncode in FAILED
    assert process.stdout.count("!!") == 1
    shutil.rmtree(work.artifact("tiny", "4bit"))
    assert doit(work.root, "verify", "tag=v1").stdout == "4bit: not built\n"

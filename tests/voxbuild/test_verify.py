"""What is published is what its manifest says, and what is built: any other byte is found."""

import hashlib
import json
import shutil

import pytest
from projects import FAILED, doit
from releases import REPO, book_of, make_releasable, put_artifact

from voxbuild.errors import DifferenceError
from voxbuild.manifest import MANIFEST, SIGNATURE, VALIDATION
from voxbuild.publishing import Order, publish
from voxbuild.registry import LocalRegistry
from voxbuild.verifying import verify


@pytest.fixture
def work(tmp_path):
    """A project whose artifact is published as v1."""
    work = make_releasable(tmp_path / "project")
    publish(work, book_of(work), book_of(work).recipe("4bit"), Order(named=True, tag="v1"))
    return work


@pytest.fixture
def told(work, capsys):
    """Verify; whether all is right, and what was said."""

    def run(tag="v1", named=True):
        capsys.readouterr()
        try:
            verify(work, book_of(work), book_of(work).recipe("4bit"), Order(named=named, tag=tag))
            return True, capsys.readouterr().out
        except DifferenceError:
            return False, capsys.readouterr().out

    return run


def stored(work, name):
    """The blob of a published file."""
    return next(work.registry.glob(f"*/snapshots/*/{name}")).resolve()


def test_what_is_as_it_was_published_is_told(work, told):
    digest = hashlib.sha256((work.artifact("tiny", "4bit") / MANIFEST).read_bytes()).hexdigest()[:16]
    size = sum(p.stat().st_size for p in work.artifact("tiny", "4bit").iterdir())
    count = len(list(work.artifact("tiny", "4bit").iterdir()))
    right, text = told()
    assert right
    assert text.splitlines()[:3] == [
        f"4bit over tiny: {REPO} at v1",
        f"   all {count} files are those of its manifest {digest}, {size:,} bytes",
        "   validated as these very files",
    ]
    assert text.endswith(f"\n   the same as {work.artifact('tiny', '4bit')}\n")


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


def test_a_file_that_nobody_promised_is_named(work, told):
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


def test_another_manifest_than_the_one_here_is_told(work, told):
    change_manifest(work, lambda manifest: manifest.update(model="Another"))
    right, text = told()
    assert not right
    assert f"!! another artifact is in {work.artifact('tiny', '4bit')}, with the manifest " in text
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
def test_a_validation_of_something_else_is_told(work, told, change):
    report = stored(work, VALIDATION)
    report.write_text(json.dumps(json.loads(report.read_text()) | change))
    entry = {"size": report.stat().st_size, "sha256": hashlib.sha256(report.read_bytes()).hexdigest()}
    change_manifest(work, lambda manifest: manifest["files"].update({VALIDATION: entry}))
    right, text = told()
    assert not right
    assert "!! validation.json is not a passed one of these very files\n" in text


def test_a_signature_is_part_of_it(work, told):
    folder = put_artifact(work, signature=b"signed")
    publish(work, book_of(work), book_of(work).recipe("4bit"), Order(named=True, tag="v2"))
    assert (LocalRegistry(work.registry).read(REPO, "v1", SIGNATURE, 9)) == b"signed"
    assert f"all {len(list(folder.iterdir()))} files are those of its manifest" in told()[1]


def test_what_is_not_there_is_told(work, told):
    assert f"!! {REPO} at v7 is not in the registry" in told("v7")[1]
    assert not told("v7")[0]


def test_what_was_withdrawn_is_told(work, told):
    LocalRegistry(work.registry).yank(REPO, "v1", "deaf")
    right, text = told()
    assert right
    assert "   withdrawn: deaf\n" in text


def test_all_that_is_built_is_verified_and_the_exit_code_tells(work):
    process = doit(work.root, "verify", "tag=v1")
    assert process.returncode == 0
    assert "files are those of its manifest" in process.stdout
    stored(work, "tekken.json").write_bytes(b"[]")
    process = doit(work.root, "verify", "recipe=4bit", "tag=v1", "target=registry")
    assert process.returncode in FAILED
    assert process.stdout.count("!!") == 1
    shutil.rmtree(work.artifact("tiny", "4bit"))
    assert doit(work.root, "verify", "tag=v1").stdout == ""

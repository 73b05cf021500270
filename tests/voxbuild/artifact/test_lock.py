"""recipe.lock records everything that determines the weights, and builds are checked against it."""

import json
import shutil

import pytest
from projects import FAILED, doit, edit, executed
from small_sources import header_of, params_of, write_checkpoint

from voxbuild.artifact.lock import LOCK, check_drift, differences, make_lock, read_lock, refuse_difference
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.tools import tool_versions
from voxbuild.errors import LockError
from voxbuild.files import write_json
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.origins.hub import HubFiles
from voxbuild.recipes.source import SourceFile
from voxrun.files.hashes import sha256_of

PARAMS = params_of()
FILES = {
    "consolidated.safetensors": {"size": 9, "sha256": "a" * 64},
    "params.json": {"size": 1, "sha256": "b"},
}
TOOLS = {"voxbuild": "1", "mlx": "2"}
GATE = "language_model.layers.0.mlp.gate_proj.weight"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


def lock_of(book, name="4bit", source="tiny", **changes):
    plan = make_plan(book.recipe(name).model_copy(update=changes), header_of(PARAMS), PARAMS)
    return make_lock(book.source(source), plan, FILES, TOOLS)


def changed(lock, *keys, value):
    """A copy with another value at a path of keys."""
    lock = json.loads(json.dumps(lock))
    place = lock
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return lock


def test_a_lock_records_the_source_the_tools_and_every_tensors_quantization(book):
    lock = lock_of(book, "mixed-4-6", "voxtral-mini-4b-realtime-2602")
    hub = book.source("voxtral-mini-4b-realtime-2602").hub
    assert lock["source"] == {
        "name": "voxtral-mini-4b-realtime-2602",
        "repo": hub.repo,
        "revision": hub.revision,
        "files": FILES,
    }
    assert lock["tools"] == TOOLS
    assert len(lock["tensors"]) == len(header_of(PARAMS))
    bits = {e["quantization"]["bits"] for e in lock["tensors"].values() if e["quantization"]}
    assert bits == {4, 6}
    assert lock["tensors"]["encoder.norm.weight"] == {
        "dtype": "BF16",
        "shard": "model.safetensors",
        "quantization": None,
    }


def test_the_digest_depends_on_the_weights_not_on_the_gates(book):
    recipe = book.recipe("4bit")
    laxer = recipe.validation.model_copy(update={"clips": ("digits",)})
    assert lock_of(book, validation=laxer) == lock_of(book)
    assert lock_of(book, dtype="float16")["recipe"]["digest"] != lock_of(book)["recipe"]["digest"]


def test_what_differs_is_named_source_first(book):
    was = lock_of(book)
    now = changed(was, "source", "files", "params.json", "sha256", value="c")
    now = changed(now, "tools", "mlx", value="3")
    assert list(differences(was, now)) == ["params.json was sha256 b, is sha256 c", "mlx was 2, is 3"]
    assert list(differences(was, was)) == []


def test_quantization_and_shards_are_compared_tensor_by_tensor(book):
    was, six = lock_of(book), lock_of(book, "6bit")
    told = list(differences(was, six))
    assert f"{GATE} was affine 4 bit / 64 of BF16 in model.safetensors," in "".join(told)
    assert len(told) == sum(entry["quantization"] is not None for entry in was["tensors"].values())
    moved = changed(was, "tensors", GATE, "shard", value="other.safetensors")
    assert list(differences(was, moved)) == [
        f"{GATE} was affine 4 bit / 64 of BF16 in model.safetensors, is affine 4 bit / 64 of BF16 in"
        " other.safetensors"
    ]


def test_any_other_difference_of_plans_is_reported_by_digest(book):
    was = changed(lock_of(book), "recipe", "digest", value="f00")
    assert list(differences(was, lock_of(book))) == ["the recipe 4bit was different (digest f00)"]


def drift_of(tmp_path, was, now, source):
    path = tmp_path / "4bit" / LOCK
    write_json(path, was)
    return check_drift(path, now, source)


def test_drift_of_a_pinned_file_is_refused_and_of_another_is_said(book, tmp_path):
    was, pinned = lock_of(book), book.source("tiny")
    now = changed(was, "source", "files", "params.json", "sha256", value="c")
    free = pinned.model_copy(update={"files": tuple(SourceFile(name=f.name) for f in pinned.files)})
    folder = tmp_path / "4bit"
    said = f"the source tiny changed since {folder} was built: params.json was sha256 b, is sha256 c"
    assert drift_of(tmp_path, was, changed(was, "tools", "mlx", value="3"), pinned) is None
    assert drift_of(tmp_path, was, now, free) == (
        f"{said}; it is not pinned, so the artifact is built from what is there now"
    )
    with pytest.raises(LockError) as caught:
        drift_of(tmp_path, was, now, pinned)
    assert str(caught.value) == f"{said}; to accept the new source delete {folder / LOCK} and run it again"


def test_another_revision_with_the_same_files_is_drift_too(book, tmp_path):
    local = lock_of(book)
    was, now = ({"repo": "a/b", "revision": 40 * digit} for digit in "ab")
    hub = book.source("tiny").model_copy(update={"path": None, "hub": HubFiles(**now)})
    at = [{**local, "source": local["source"] | identity} for identity in (was, now)]
    with pytest.raises(LockError, match=r"revision was a+, is b+;"):
        drift_of(tmp_path, *at, hub)
    assert "revision was a" in drift_of(tmp_path, at[0], local, book.source("tiny")), "now it is local"


def test_only_the_first_differences_are_named(book, tmp_path):
    path = tmp_path / LOCK
    write_json(path, lock_of(book))
    with pytest.raises(LockError, match=r"a build would differ from .*; and \d+ more$") as caught:
        refuse_difference(path, lock_of(book, "6bit"))
    assert str(caught.value).count(" was ") == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        ("{", "cannot read the lock"),
        ("[]", "cannot read the lock"),
        ('{"format": 1}', "cannot read the lock"),
        (
            '{"format": 9, "recipe": {}, "source": {"files": {}}, "tensors": {}, "tools": {}}',
            "its format is 9, expected 1",
        ),
    ],
)
def test_a_malformed_lock_is_reported(tmp_path, content, expected):
    path = tmp_path / "their.lock"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LockError, match=f"{path}: .*{expected}"):
        read_lock(path)


def change_source(project):
    header = header_of(params_of())
    path = project / "source/consolidated.safetensors"
    before = sha256_of(path)
    arrays = write_checkpoint(path, header)
    write_checkpoint(path, header, {"norm.weight": arrays["norm.weight"] + 1})
    return before, sha256_of(path)


def test_a_build_writes_a_lock_that_its_manifest_lists(converted):
    folder = converted / "out/tiny/4bit"
    assert Manifest.load(folder).files[LOCK].sha256 == sha256_of(folder / LOCK)
    lock = read_lock(folder / LOCK)
    assert lock["source"]["files"]["params.json"]["sha256"] == sha256_of(converted / "source/params.json")
    assert lock["tools"] == tool_versions()
    assert "repo" not in lock["source"]


@pytest.mark.slow
def test_new_weights_in_a_local_folder_are_said_and_built(project):
    was, now = change_source(project)
    process = doit(project, "convert", "recipe=4bit")
    assert process.returncode == 0, process.stdout
    (line,) = [line for line in process.stdout.splitlines() if "changed since" in line]
    assert f"consolidated.safetensors was sha256 {was}, is sha256 {now}; it is not pinned" in line
    lock = read_lock(project / "out/tiny/4bit" / LOCK)
    assert lock["source"]["files"]["consolidated.safetensors"]["sha256"] == now
    assert "changed since" not in doit(project, "convert", "recipe=4bit").stdout


@pytest.mark.slow
def test_drift_of_a_pinned_source_is_refused_until_the_lock_is_deleted(project):
    was, now = change_source(project)
    name = "name: consolidated.safetensors"
    edit(project / "recipes/sources/tiny.yaml", name, f"{name}, sha256: {now}")
    folder = project / "out/tiny/4bit"
    before = (folder / "model.safetensors").read_bytes()
    process = doit(project, "convert", "recipe=4bit")
    assert process.returncode in FAILED
    assert f"consolidated.safetensors was sha256 {was}, is sha256 {now}" in process.stdout
    assert f"delete {folder / LOCK} and run it again" in process.stdout
    assert "Traceback" not in process.stdout
    assert "convert:tiny:4bit" not in executed(process)
    assert (folder / "model.safetensors").read_bytes() == before
    (folder / LOCK).unlink()
    process = doit(project, "convert", "recipe=4bit")
    assert process.returncode == 0, process.stdout
    assert read_lock(folder / LOCK)["source"]["files"]["consolidated.safetensors"]["sha256"] == now


@pytest.mark.slow
def test_a_changed_recipe_is_built_without_deleting_the_lock(project):
    edit(project / "recipes/4bit.yaml", "bits: 4", "bits: 6")
    process = doit(project, "convert", "recipe=4bit")
    assert process.returncode == 0, process.stdout
    assert "convert:tiny:4bit" in executed(process)


@pytest.mark.slow
def test_a_copied_lock_is_enforced_even_if_all_tasks_are_up_to_date(project):
    theirs = project / "theirs.lock"
    shutil.copy(project / "out/tiny/4bit" / LOCK, theirs)
    process = doit(project, "convert", "recipe=4bit", "lock=theirs.lock")
    assert process.returncode == 0, process.stdout
    assert "convert:tiny:4bit" not in executed(process)

    lock = changed(read_lock(theirs), "tools", "mlx", value="0.1")
    write_json(theirs, changed(lock, "tensors", GATE, "quantization", "bits", value=8))
    process = doit(project, "convert", "recipe=4bit", "lock=theirs.lock")
    assert process.returncode in FAILED
    assert "a build would differ from theirs.lock: mlx was 0.1, is " in process.stdout
    assert f"{GATE} was affine 8 bit / 64 of BF16 in model.safetensors, is affine 4 bit" in process.stdout
    assert "Traceback" not in process.stdout


@pytest.mark.slow
def test_a_copied_lock_of_a_new_source_allows_building_it(project, tmp_path):
    change_source(project)
    elsewhere = shutil.copytree(project, tmp_path / "elsewhere", symlinks=True)
    shutil.rmtree(elsewhere / "out")
    assert doit(elsewhere, "convert", "recipe=4bit").returncode == 0
    theirs = elsewhere / "out/tiny/4bit" / LOCK
    process = doit(project, "convert", "recipe=4bit", f"lock={theirs}")
    assert process.returncode == 0, process.stdout
    assert (project / "out/tiny/4bit" / LOCK).read_bytes() == theirs.read_bytes()


@pytest.mark.slow
def test_a_lock_without_recipe_or_file_is_reported(project):
    process = doit(project, "convert", "lock=theirs.lock")
    assert process.returncode == 3
    assert "lock= belongs to one recipe; name it with recipe=" in process.stdout
    process = doit(project, "convert", "recipe=4bit", "lock=theirs.lock")
    assert process.returncode in FAILED
    assert "theirs.lock: cannot read the lock" in process.stdout


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lock: lock["source"]["files"]["params.json"].pop("sha256"),
        lambda lock: next(iter(lock["tensors"].values())).pop("quantization"),
        lambda lock: lock["tensors"].update(x={"dtype": "F32", "shard": "", "quantization": {"turns": 2}}),
    ],
    ids=["file", "tensor", "quantization"],
)
def test_a_lock_with_a_damaged_entry_is_reported(tmp_path, book, spoil):
    lock = json.loads(json.dumps(lock_of(book)))
    spoil(lock)
    (tmp_path / "lock").write_text(json.dumps(lock))
    with pytest.raises(LockError, match="cannot read the lock"):
        read_lock(tmp_path / "lock")


def test_a_changed_calibration_is_named(book):
    locked = lock_of(book)
    was = locked | {"recipe": locked["recipe"] | {"calibration": {"clips": "few", "sha256": "aa"}}}
    assert list(differences(was, locked)) == ["the calibration was by few, sha256 aa, is none"]

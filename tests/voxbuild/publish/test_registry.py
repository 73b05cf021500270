"""The local registry, as the genuine client reads it after any operation or fault."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from artifacts import REPO, contents, make_artifact, make_release, sign_artifact
from huggingface_hub.errors import LocalEntryNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE, VALIDATION, file_entry
from voxbuild.errors import MissingError, PublishError
from voxbuild.publish.registry.store import commit_of
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.release import prepare
from voxbuild.publish.target import Destination

MAIN = Destination()


@pytest.fixture
def registry(tmp_path):
    """An empty one."""
    return LocalRegistry(tmp_path / "registry")


def found(registry, tag, repo=REPO):
    """What the Hub's client finds offline: every file's path and bytes."""
    return contents(
        Path(huggingface_hub.snapshot_download(repo, revision=tag, cache_dir=registry, local_files_only=True))
    )


def repo_folder(registry):
    return registry.folder / "models--someone--Small-4bit"


def test_the_hubs_client_finds_identical_files_by_tag(tmp_path):
    release = make_release(tmp_path / "a")
    address = LocalRegistry(tmp_path / "registry").publish(release, MAIN)
    assert address == f"{REPO} at v1 in {tmp_path / 'registry'}"
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")
    assert found(tmp_path / "registry", "main") == contents(tmp_path / "a")
    assert {"README.md", MANIFEST, VALIDATION} <= contents(tmp_path / "a").keys()


def test_the_registry_does_not_need_the_artifact_afterwards(tmp_path):
    release = make_release(tmp_path / "a")
    before = contents(tmp_path / "a")
    LocalRegistry(tmp_path / "registry").publish(release, MAIN)
    shutil.rmtree(tmp_path / "a")
    shutil.move(tmp_path / "registry", tmp_path / "moved")
    assert found(tmp_path / "moved", "v1") == before


def test_publishing_again_does_nothing(tmp_path):
    registry, release = LocalRegistry(tmp_path / "registry"), make_release(tmp_path / "a")
    assert not registry.published(release)
    registry.publish(release, MAIN)
    stamps = {path: path.lstat().st_mtime_ns for path in (tmp_path / "registry").rglob("*")}
    assert registry.published(release)
    registry.publish(release, MAIN)
    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "registry").rglob("*")} == stamps


def test_another_artifact_under_the_same_tag_is_refused(tmp_path):
    registry = LocalRegistry(tmp_path / "registry")
    registry.publish(make_release(tmp_path / "a"), MAIN)
    other = make_release(tmp_path / "b", b"other weights")
    for attempt in (registry.published, lambda release: registry.publish(release, MAIN)):
        with pytest.raises(PublishError, match="v1 holds another artifact, and published tags never"):
            attempt(other)
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")


def test_another_tag_is_published_beside_the_first(tmp_path):
    registry = LocalRegistry(tmp_path / "registry")
    registry.publish(make_release(tmp_path / "a"), MAIN)
    registry.publish(make_release(tmp_path / "b", b"other weights", tag="v2"), MAIN)
    assert found(tmp_path / "registry", "v1") == contents(tmp_path / "a")
    assert found(tmp_path / "registry", "v2") == contents(tmp_path / "b")
    assert found(tmp_path / "registry", "main") == contents(tmp_path / "b")


def test_files_in_folders_and_signatures_are_kept(registry, tmp_path):
    folder = make_artifact(tmp_path / "a", extra={".eval_results/wer.yaml": b"- wer"})
    sign_artifact(folder)
    registry.publish(prepare(folder, "c0ffee", REPO, "v1"), MAIN)
    assert found(registry.folder, "v1") == contents(folder)
    links = [p for p in (repo_folder(registry) / "snapshots").rglob("*") if not p.is_dir()]
    assert not any(path.readlink().is_absolute() for path in links)
    assert registry.files(REPO, "v1")[".eval_results/wer.yaml"] == file_entry(
        folder / ".eval_results/wer.yaml"
    )


def test_the_client_verifies_it_as_a_cache(registry, tmp_path):
    for tag in ("v1", "v2"):
        registry.publish(make_release(tmp_path / tag, tag.encode(), tag=tag), MAIN)
    registry.yank(REPO, "v1", "old")
    scanned = huggingface_hub.scan_cache_dir(registry.folder)
    assert scanned.warnings == []
    (repo,) = scanned.repos
    assert (repo.repo_id, set(repo.refs)) == (REPO, {"main", "v1", "v2", "withdrawn-v1"})
    assert repo.size_on_disk == sum(p.stat().st_size for p in (repo_folder(registry) / "blobs").iterdir())


def test_files_of_a_release_can_be_listed_and_read(registry, tmp_path):
    release = make_release(tmp_path / "a")
    registry.publish(release, MAIN)
    assert registry.files(REPO, "main") == release.files
    assert registry.read(REPO, "v1", "tekken.json", 2) == b"{}"
    with pytest.raises(PublishError, match=r"tekken.json has more than 1 bytes"):
        registry.read(REPO, "v1", "tekken.json", 1)
    for revision, name in (("v1", "no.json"), ("v2", "tekken.json")):
        with pytest.raises(MissingError):
            registry.read(REPO, revision, name, 100)
    with pytest.raises(PublishError, match="is not the name of an artifact's file"):
        registry.read(REPO, "v1", "../../refs/v1", 100)
    with pytest.raises(MissingError, match="someone/Other at v1 is not in the registry"):
        registry.files("someone/Other", "v1")


def test_every_tag_keeps_its_own_signature(registry, tmp_path):
    folder = make_artifact(tmp_path / "a")
    held = {"v1": contents(folder)}
    registry.publish(prepare(folder, "c0ffee", REPO, "v1"), MAIN)
    for tag in ("v2", "v3"):
        sign_artifact(folder)
        registry.publish(prepare(folder, "c0ffee", REPO, tag), MAIN)
        held[tag] = contents(folder)
    assert held["v2"][SIGNATURE] != held["v3"][SIGNATURE]
    assert registry.collect(dry_run=False) == ([], [])
    assert {tag: found(registry.folder, tag) for tag in held} == held
    assert len(list((repo_folder(registry) / "snapshots").iterdir())) == 3


def test_the_first_signature_under_a_tag_stays(registry, tmp_path):
    """It is random, so no part of what an artifact is."""
    release = make_release(tmp_path / "a")
    first = sign_artifact(release.folder)
    registry.publish(prepare(release.folder, "c0ffee", REPO, "v1"), MAIN)
    assert sign_artifact(release.folder) != first
    for again in (prepare(release.folder, "c0ffee", REPO, "v1"), release):
        assert registry.published(again)
        registry.publish(again, MAIN)
        assert found(registry.folder, "v1")[SIGNATURE] == first
    (repo_folder(registry) / "blobs" / release.files["tekken.json"].sha256).write_bytes(b"[]")
    assert not registry.published(again)
    registry.publish(again, MAIN)
    assert registry.published(again)
    assert found(registry.folder, "v1")[SIGNATURE] == first


def test_a_signature_is_not_added_to_an_unsigned_tag(registry, tmp_path):
    release = make_release(tmp_path / "a")
    registry.publish(release, MAIN)
    before = found(registry.folder, "v1")
    sign_artifact(release.folder)
    signed = prepare(release.folder, "c0ffee", REPO, "v1")
    for attempt in (registry.published, lambda release: registry.publish(release, MAIN)):
        with pytest.raises(
            PublishError, match=r"the tag v1 holds this artifact unsigned, and published tags"
        ):
            attempt(signed)
    assert found(registry.folder, "v1") == before


@pytest.mark.parametrize("damage", ["flipped", "gone", "replaced"])
def test_a_lost_signature_that_cannot_be_restored_is_reported(registry, tmp_path, damage):
    folder = make_artifact(tmp_path / "a")
    sign_artifact(folder)
    registry.publish(prepare(folder, "c0ffee", REPO, "v1"), MAIN)
    (link,) = repo_folder(registry).glob(f"snapshots/*/{SIGNATURE}")
    sign_artifact(folder)
    if damage == "flipped":
        link.resolve().write_bytes(b"flipped")
    elif damage == "gone":
        link.unlink()
    else:
        link.resolve().write_bytes((folder / SIGNATURE).read_bytes())
    release = prepare(folder, "c0ffee", REPO, "v1")
    assert not registry.published(release)
    with pytest.raises(PublishError, match="the tag v1 has a damaged signature"):
        registry.publish(release, MAIN)


@pytest.mark.parametrize("name", ["model.safetensors", MANIFEST, SIGNATURE])
@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "a link elsewhere", "unlinked", "led out"])
def test_damage_is_detected_and_repaired_by_publishing_again(registry, tmp_path, name, damage):
    folder = make_artifact(tmp_path / "a")
    sign_artifact(folder)
    release = prepare(folder, "c0ffee", REPO, "v1")
    registry.publish(release, MAIN)
    blob = repo_folder(registry) / "blobs" / release.files[name].sha256
    link = repo_folder(registry) / "snapshots" / commit_of(release.files) / name
    content = blob.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(content)
    if damage == "flipped":
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "short":
        blob.write_bytes(content[:-1])
    elif damage == "gone":
        blob.unlink()
    elif damage == "a link elsewhere":
        blob.unlink()
        blob.symlink_to(elsewhere)
    elif damage == "unlinked":
        link.unlink()
    else:
        link.unlink()
        link.symlink_to(elsewhere)
    assert not registry.published(release)
    registry.publish(release, MAIN)
    assert found(registry.folder, "v1") == contents(folder)
    assert elsewhere.read_bytes() == content
    assert not blob.is_symlink()
    assert registry.published(release)


def test_a_damaged_blob_is_not_reused_by_another_tag(registry, tmp_path):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    for blob in (repo_folder(registry) / "blobs").iterdir():
        blob.write_bytes(b"spoiled")
    registry.publish(make_release(tmp_path / "b", tag="v2"), MAIN)
    assert found(registry.folder, "v2") == contents(tmp_path / "b")


def test_a_linked_snapshot_is_replaced_and_its_target_untouched(registry, tmp_path):
    release = make_release(tmp_path / "a")
    registry.publish(release, MAIN)
    snapshot = repo_folder(registry) / "snapshots" / release.files[MANIFEST].sha256[:40]
    elsewhere = snapshot.rename(tmp_path / "elsewhere")
    (elsewhere / "mine.txt").write_text("mine")
    snapshot.symlink_to(elsewhere)
    registry.publish(release, MAIN)
    assert not snapshot.is_symlink()
    assert found(registry.folder, "v1") == contents(tmp_path / "a")
    assert (elsewhere / "mine.txt").read_text() == "mine"


def test_a_file_that_changes_while_it_is_published_is_refused(registry, tmp_path):
    release = make_release(tmp_path / "a")
    (release.folder / "tekken.json").write_text("[]")
    with pytest.raises(PublishError, match=r"tekken.json: changed while it was being published"):
        registry.publish(release, MAIN)
    with pytest.raises(LocalEntryNotFoundError):
        found(registry.folder, "v1")


@pytest.mark.parametrize("repo", ["someone/-4bit", "someone/a--b", "someone/a..b", "someone/" + "a" * 200])
def test_a_name_that_the_client_would_refuse_is_refused(registry, tmp_path, repo):
    release = replace(make_release(tmp_path / "a"), repo=repo)
    with pytest.raises(PublishError, match=r"publish\.repo: |is no name of a repository"):
        registry.publish(release, MAIN)
    assert not registry.folder.exists()


@pytest.mark.parametrize("destination", [Destination(branch="trial"), Destination(pull_request=True)])
def test_branches_are_refused(registry, tmp_path, destination):
    with pytest.raises(PublishError, match="no branches or pull requests"):
        registry.publish(make_release(tmp_path / "a"), destination)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_incomplete(tmp_path, monkeypatch):
    """Full at the first, second, ... file that is flushed, to the last."""
    release, original = make_release(tmp_path / "a"), os.fsync
    for room in range(100):
        registry, left = LocalRegistry(tmp_path / f"registry{room}"), [room]

        def fsync(descriptor, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            original(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            registry.publish(release, MAIN)
            break
        except PublishError as error:
            assert str(error).startswith(f"{registry.folder}: the disk is full")
        monkeypatch.setattr(os, "fsync", original)
        if (repo_folder(registry) / "refs/v1").exists():
            assert found(registry.folder, "v1") == contents(tmp_path / "a")
        assert not list(registry.folder.rglob("*.partial"))
        registry.publish(release, MAIN)
        assert found(registry.folder, "main") == contents(tmp_path / "a")
    assert room > len(release.files)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "moments"), [("kill", 30), ("read", 30), ("collect", 5), ("flush", 5), ("race", 3)]
)
def test_every_tag_is_complete_at_every_moment(tmp_path, mode, moments):
    """See every_moment.py."""
    script = [sys.executable, "-W", "error", Path(__file__).parents[1] / "every_moment.py", mode, tmp_path]
    process = subprocess.run(script, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) >= moments


def test_the_history_is_in_the_order_of_publishing(registry, tmp_path, monkeypatch):
    for number, tag in enumerate(["v3", "v1", "v2"]):
        registry.publish(make_release(tmp_path / tag, tag.encode(), tag=tag), MAIN)
        os.utime(repo_folder(registry) / "refs" / tag, (100 - number, 100 - number))
    versions = registry.history(REPO)
    assert [v.tag for v in versions] == ["v2", "v1", "v3"]
    assert [v.latest for v in versions] == [True, False, False]
    assert all(v.date.endswith("+00:00") for v in versions)
    with pytest.raises(MissingError, match="someone/Other is not in the registry"):
        registry.history("someone/Other")


def test_tags_without_a_history_entry_come_last_and_are_kept(registry, tmp_path):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    (repo_folder(registry) / "history.json").unlink()
    registry.publish(make_release(tmp_path / "b", b"other", tag="v2"), MAIN)
    assert [(v.tag, bool(v.date), v.latest) for v in registry.history(REPO)] == [
        ("v2", True, True),
        ("v1", False, False),
    ]


def test_a_withdrawn_tag_stays_and_latest_goes_back(registry, tmp_path):
    for tag in ("v1", "v2", "v3"):
        registry.publish(make_release(tmp_path / tag, tag.encode(), tag=tag), MAIN)
    assert registry.yank(REPO, "v3", "deaf\nto \x1b[31mnumbers") == f"{REPO}: v3 is withdrawn; latest: v2"
    assert found(registry.folder, "v3") == contents(tmp_path / "v3")
    assert found(registry.folder, "main") == contents(tmp_path / "v2")
    assert [(v.tag, v.latest, v.withdrawn) for v in registry.history(REPO)] == [
        ("v3", False, "deaf to [31mnumbers"),
        ("v2", True, None),
        ("v1", False, None),
    ]
    registry.yank(REPO, "v1", "old")
    assert found(registry.folder, "main") == contents(tmp_path / "v2")
    assert registry.yank(REPO, "v2", "old").endswith("latest: none")
    with pytest.raises(LocalEntryNotFoundError):
        found(registry.folder, "main")
    registry.publish(make_release(tmp_path / "v4", b"four", tag="v4"), MAIN)
    assert found(registry.folder, "main") == contents(tmp_path / "v4")


def test_publishing_a_withdrawn_release_again_does_not_restore_it(registry, tmp_path):
    first, second = make_release(tmp_path / "a"), make_release(tmp_path / "b", b"other", tag="v2")
    registry.publish(first, MAIN)
    registry.publish(second, MAIN)
    registry.yank(REPO, "v2", "bad")
    for attempt in (registry.published, lambda release: registry.publish(release, MAIN)):
        with pytest.raises(PublishError, match=r"the tag v2 was withdrawn \(bad\); choose another"):
            attempt(second)
    assert found(registry.folder, "main") == contents(tmp_path / "a")
    assert registry.history(REPO)[0].withdrawn == "bad"


@pytest.mark.parametrize(
    ("repo", "tag"), [(REPO, "v2"), (REPO, "main"), (REPO, "../v1"), ("someone/Other", "v1")]
)
def test_an_unknown_tag_cannot_be_withdrawn(registry, tmp_path, repo, tag):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    with pytest.raises(MissingError, match=r"its tags: (v1|none)$"):
        registry.yank(repo, tag, "bad")
    assert found(registry.folder, "main") == contents(tmp_path / "a")


def test_a_main_left_behind_by_a_killed_publisher_is_moved(registry, tmp_path):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    second = make_release(tmp_path / "b", b"other", tag="v2")
    registry.publish(second, MAIN)
    refs = repo_folder(registry) / "refs"
    (refs / "main").write_text((refs / "v1").read_text())
    assert not registry.published(second)
    registry.publish(second, MAIN)
    assert found(registry.folder, "main") == contents(tmp_path / "b")


def test_only_unreferenced_files_are_collected(registry, tmp_path):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    registry.publish(make_release(tmp_path / "b", b"other weights", tag="v2"), MAIN)
    repo = repo_folder(registry)
    assert registry.collect(dry_run=False) == ([], [])
    gone = (repo / "refs/v1").read_text()
    (repo / "refs/v1").unlink()
    (repo / ".partial").mkdir()
    (repo / ".partial/torn").write_bytes(b"torn")
    (repo / "blobs" / ("0" * 64)).write_bytes(b"orphan")
    (repo / "blobs" / "somebody.incomplete").write_bytes(b"a download")
    everything = contents(registry.folder)
    garbage, _ = registry.collect(dry_run=True)
    assert contents(registry.folder) == everything
    assert registry.collect(dry_run=False) == (garbage, [])
    assert not (repo / "snapshots" / gone).exists()
    assert found(registry.folder, "v2") == contents(tmp_path / "b")
    freed = sum(map(len, everything.values())) - sum(map(len, contents(registry.folder).values()))
    assert freed == sum(item.nbytes for item in garbage) + linked_bytes(tmp_path / "a")
    assert (repo / "blobs" / "somebody.incomplete").exists()
    assert registry.collect(dry_run=False) == ([], [])


def linked_bytes(folder):
    """What `contents` counts twice of a snapshot: it follows links."""
    return sum(map(len, contents(folder).values()))


def test_a_malformed_ref_prevents_collection_only_in_its_repository(registry, tmp_path):
    other = "someone/Other"
    release = make_release(tmp_path / "a")
    registry.publish(release, MAIN)
    registry.publish(replace(release, repo=other), MAIN)
    orphans = [path / "blobs" / ("0" * 64) for path in map(registry.folder.joinpath, FOLDERS)]
    for orphan in orphans:
        orphan.write_bytes(b"orphan")
    (registry.folder / FOLDERS[0] / "refs/v9").write_text("../../../elsewhere")
    garbage, damaged = registry.collect(dry_run=False)
    assert [item.path for item in garbage] == orphans[1:]
    assert [orphan.exists() for orphan in orphans] == [True, False]
    assert len(damaged) == 1
    assert "refs/v9: " in damaged[0]


FOLDERS = ("models--someone--Small-4bit", "models--someone--Other")


def test_pull_request_refs_of_the_client_are_tolerated_and_kept(registry, tmp_path):
    registry.publish(make_release(tmp_path / "a"), MAIN)
    commit = (repo_folder(registry) / "refs/main").read_text()
    (repo_folder(registry) / "refs/refs/pr").mkdir(parents=True)
    (repo_folder(registry) / "refs/refs/pr/1").write_text(commit)
    registry.publish(make_release(tmp_path / "b", b"other", tag="v2"), MAIN)
    assert [version.tag for version in registry.history(REPO)] == ["v2", "v1"]
    (repo_folder(registry) / "refs/v1").unlink()
    registry.collect(dry_run=False)
    assert found(registry.folder, commit) == contents(tmp_path / "a"), "the pull request needs it"


def test_a_long_history_is_read_once(registry, tmp_path, monkeypatch):
    for number in range(12):
        registry.publish(make_release(tmp_path / str(number), tag=f"v{number}"), MAIN)
        registry.yank(REPO, f"v{number}", "old")
    opened, original = [], Path.open
    monkeypatch.setattr(Path, "open", lambda path, *rest: opened.append(path) or original(path, *rest))
    assert len(registry.history(REPO)) == 12
    assert len(opened) <= 12 + 12 + 2, "a ref and a mark of each, main, and the history"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "yank", "collect", "forget"]),
        st.sampled_from(["v1", "v2", "v3"]),
        st.sampled_from([b"one", b"two"]),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=40)
@given(STEPS)
def test_any_sequence_of_operations_keeps_every_tags_bytes(steps):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        registry = LocalRegistry(folder / "registry")
        made = {c: make_artifact(folder / c.decode(), c) for c in (b"one", b"two")}
        tags, withdrawn = {}, set()
        for step, tag, content in steps:
            if step == "publish" and tags.get(tag, content) == content and tag not in withdrawn:
                registry.publish(prepare(made[content], "c0ffee", REPO, tag), MAIN)
                tags.setdefault(tag, content)
            elif step == "yank" and tag in tags:
                registry.yank(REPO, tag, "bad")
                withdrawn.add(tag)
            elif step == "collect":
                registry.collect(dry_run=False)
            elif step == "forget" and tag in tags and tag in withdrawn:
                forget(repo_folder(registry) / "refs", tag)
                withdrawn.discard(tag)
                del tags[tag]
            for name, stored in tags.items():
                assert found(registry.folder, name) == contents(made[stored])
            good = [name for name in tags if name not in withdrawn]
            if good:
                assert found(registry.folder, "main") == contents(made[tags[good[-1]]])


def forget(refs, tag):
    (refs / tag).unlink()
    (refs / f"withdrawn-{tag}").unlink()

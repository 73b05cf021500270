"""The commands for releases, run by doit or by calling its actions, over small made-up artifacts."""

import json

import pytest
from artifacts import contents, sign_artifact
from doit.exceptions import TaskFailed
from keys import write_keys
from projects import FAILED, doit, edit
from releases import REPO, book_of, make_releasable, put_artifact

from voxbuild.artifact.manifest import SIGNATURE
from voxbuild.publish import tags, upload, verify
from voxbuild.publish.changes import changes_table
from voxbuild.publish.order import Order
from voxbuild.publish.registry import catalogue
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.tasks import actions
from voxrun.trust.manifest import Entry

COMMANDS = {
    "publish": upload.publish,
    "verify": verify.verify,
    "yank": tags.yank,
    "history": tags.history,
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A project that can be published, and is the current folder."""
    work = make_releasable(tmp_path / "project")
    monkeypatch.chdir(work.root)
    return work


@pytest.fixture
def run(work, capsys):
    """Run an action as its task does; what is printed, and the failure's message behind it."""

    def act(name, recipe="4bit", target=None, tag=None, **arguments):
        book_of(work)
        capsys.readouterr()
        order = Order(recipe, target=target, tag=tag, branch=arguments.pop("branch", None))
        result = actions.on_project(COMMANDS[name], order, **arguments)
        failure = f"!! {result.get_msg()}" if isinstance(result, TaskFailed) else ""
        return capsys.readouterr().out + failure

    return act


@pytest.fixture
def publish(run):
    """The same with nothing special."""

    def act(tag="v1", branch=None, pull_request=False, dry_run=False):
        return run("publish", tag=tag, branch=branch, pull_request=pull_request, dry_run=dry_run)

    return act


def rows(text):
    """The cells of a table's rows, its header apart."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
def test_options_may_come_before_or_after_the_recipe_or_after_a_subtask(work):
    for said in (
        ["publish", "recipe=4bit", "--dry-run"],
        ["publish", "--dry-run", "recipe=4bit"],
        ["publish:4bit", "--dry-run"],
    ):
        process = doit(work.root, *said)
        assert process.returncode == 0, process.stdout
        assert f"would be published as {REPO} at v0.1.0; nothing was sent" in process.stdout
        assert {row[0] for row in rows(process.stdout)} == {"add"}
    assert not work.registry.exists()


@pytest.mark.slow
def test_releases_are_published_listed_and_withdrawn(work):
    process = doit(work.root, "publish:4bit", "tag=v1")
    assert process.returncode == 0
    assert f"4bit over tiny: published {REPO} at v1" in process.stdout
    process = doit(work.root, "publish", "--pull-request", "recipe=4bit")
    assert process.returncode in FAILED
    assert "target=registry has no branches or pull requests; use target=hub" in process.stdout
    process = doit(work.root, "yank", "recipe=4bit", "tag=v1", "reason=deaf to numbers")
    assert process.stdout == f"{REPO}: v1 is withdrawn; latest: none\n"
    told = json.loads(doit(work.root, "history", "recipe=4bit", "--format", "json").stdout)
    assert [(v["tag"], v["latest"], v["withdrawn"]) for v in told] == [("v1", False, "deaf to numbers")]
    listed = json.loads(doit(work.root, "registry", "--format", "json").stdout)
    assert [(entry["repo"], entry["withdrawn"]) for entry in listed] == [(REPO, "deaf to numbers")]
    assert doit(work.root, "registry", "--gc", "--dry-run").stdout == "0 would be removed, 0 bytes\n"


def test_a_dry_run_shows_what_would_change_and_changes_nothing(work, publish):
    publish()
    folder, before = put_artifact(work, b"other weights"), contents(work.registry)
    size = len(sign_artifact(folder))
    told = rows(publish("v2", dry_run=True))
    assert ["replace", "model.safetensors", "13", "7"] in told
    assert ["same", "tekken.json", "2", "2"] in told
    assert ["add", "model.sig", f"{size:,}", ""] in told
    assert contents(work.registry) == before

    snapshot = next(work.registry.glob("*/snapshots/*"))
    (snapshot / "old.txt").write_text("old")
    assert ["remove", "old.txt", "", "3"] in rows(publish("v2", dry_run=True))


def test_a_dry_run_refuses_what_publishing_would(work, publish):
    publish()
    put_artifact(work, b"other weights")
    assert "!! someone/Voxtral-Tiny-Prompts-4bit: the tag v1 holds another" in publish(dry_run=True)
    edit(work.artifact("tiny", "4bit") / "tekken.json", "{}", "[]")
    assert "differs from its manifest: tekken.json" in publish(dry_run=True)


def test_branches_are_refused_by_the_registry(work, publish):
    refusal = "!! target=registry has no branches or pull requests; use target=hub\n"
    assert publish(branch="trial") == publish(branch="trial", dry_run=True) == refusal
    assert publish(pull_request=True) == publish(pull_request=True, dry_run=True) == refusal
    assert "not both" in publish(branch="trial", pull_request=True)
    assert "main cannot be a branch for review" in publish(branch="main")
    assert "is not a valid branch: " in publish(branch="a..b")
    assert not work.registry.exists()


def test_an_empty_branch_means_no_branch(work, publish):
    assert f"published {REPO} at v1" in publish(branch="")


def test_a_required_signature_is_checked(work, publish):
    with (work.recipes / "4bit.yaml").open("a") as file:
        file.write("sign: {public_key: ../out/tiny/4bit.pub}\n")
    folder = put_artifact(work)
    _, stranger = write_keys(work.root)
    (folder.parent / "4bit.pub").write_bytes(stranger.read_bytes())
    assert f"{folder}: not signed, but it must be, with the private key of " in publish()
    signature = sign_artifact(folder)
    (folder.parent / "4bit.pub").write_bytes(stranger.read_bytes())
    assert "not signed with the private key of" in publish()
    assert not work.registry.exists()
    signature = sign_artifact(folder)
    assert "published" in publish()
    assert LocalRegistry(work.registry).read(REPO, "v1", SIGNATURE, 10**6) == signature


def test_history_and_registry_list_every_release(work, run, publish):
    registry = LocalRegistry(work.registry)

    assert "is not in the registry" in run("history", format="table")
    assert catalogue.show(registry, "table")[0] == "the registry is empty"
    publish("v1")
    put_artifact(work, b"other weights", signed=True)
    publish("v2")
    assert run("yank", tag="v2", reason="deaf") == f"{REPO}: v2 is withdrawn; latest: v1\n"
    history = [[row[1], *row[4:]] for row in rows(run("history", format="table"))]
    assert history == [["v2", "", "deaf"], ["v1", "latest", ""]]
    told = json.loads(run("history", format="json"))
    assert rows(catalogue.show(registry, "table")[0]) == [
        [REPO, "v2", "4bit", "0.01", "8.36", "yes", "", "deaf"],
        [REPO, "v1", "4bit", "0.01", "8.36", "no", "latest", ""],
    ]
    size = sum(entry.size for entry in registry.files(REPO, "v1").values())
    more = {"variant": "4bit", "wer": 8.36, "nbytes": size, "signed": False}
    assert json.loads(catalogue.show(registry, "json")[0])[1] == told[1] | more
    assert f"!! {REPO}: the tag v2 was withdrawn (deaf); choose another with tag=NAME" in publish("v2")


@pytest.mark.parametrize("said", [{"recipe": None}, {"tag": None}, {"reason": None}, {"reason": " "}])
def test_withdrawing_needs_a_recipe_a_tag_and_a_reason(work, run, publish, said):
    publish()
    refusal = run("yank", **({"tag": "v1", "reason": "bad"} | said))
    assert refusal.startswith(("!! name the tag", "!! name the recipe"))
    assert LocalRegistry(work.registry).history(REPO)[0].latest


def test_unreferenced_files_are_removed_on_demand(work, publish):
    publish()
    orphan = next(work.registry.glob("models--*")) / "blobs" / ("0" * 64)
    orphan.write_bytes(b"orphan")
    line = f"removed: {orphan.relative_to(work.registry)}, 6 bytes\n1 "
    registry = LocalRegistry(work.registry)
    assert catalogue.collect(registry, dry_run=True) == (f"would be {line}would be removed, 6 bytes", [])
    assert orphan.exists()
    assert catalogue.collect(registry, dry_run=False) == (f"{line}removed, 6 bytes", [])
    assert not orphan.exists()


def test_an_unreadable_entry_is_listed_after_the_others(work, publish, capsys):
    publish("v1")
    put_artifact(work, b"other weights")
    publish("v2")
    ref = next(work.registry.glob("*/refs/v2")).read_text()
    (next(work.registry.glob(f"*/snapshots/{ref}")) / "manifest.json").unlink()
    failed = actions.on_project(catalogue.show_registry, format="table", gc=False, dry_run=False)
    assert failed.get_msg().strip() == f"{REPO} at v2: there is no manifest.json"
    assert [row[1] for row in rows(capsys.readouterr().out)] == ["v1"]


def test_a_damaged_repository_does_not_hide_the_others(work, publish, capsys):
    publish("v1")
    other = work.registry / "models--aaa--damaged/refs/v1"
    other.parent.mkdir(parents=True)
    other.write_text("junk")
    for said, shown in (({"gc": False}, REPO), ({"gc": True}, "0 removed, 0 bytes")):
        failed = actions.on_project(catalogue.show_registry, format="table", dry_run=False, **said)
        assert shown in capsys.readouterr().out
        assert f"{other}: 'junk' is no commit" in failed.get_msg()


def test_foreign_text_stays_in_its_table_cell():
    entry = Entry(1, "0" * 64)
    assert changes_table({"a|b\x1b[2K\nc": entry}, {}).splitlines()[2].split() == [
        *("|", "remove", "|", r"a\|b", "[2K", "c", "|"),
        *("|", "1", "|"),
    ]


def test_a_reason_stays_in_its_table_cell(work, run, publish):
    publish()
    run("yank", tag="v1", reason="deaf | or worse")
    for text in (run("history", format="table"), catalogue.show(LocalRegistry(work.registry), "table")[0]):
        assert r"| deaf \| or worse |" in text


def test_names_in_a_registry_are_printable(work, publish, capsys):
    publish()
    repo = next(work.registry.glob("models--*"))
    (repo / "snapshots/a\x1b[2K\nb").mkdir()
    assert "/snapshots/a [2K b, 0 bytes\n" in catalogue.collect(LocalRegistry(work.registry), True)[0]
    (next(repo.glob("snapshots/*/tekken.json")).parent / "a\x1b[2K\nb").symlink_to("/")
    failed = actions.on_project(catalogue.show_registry, format="table", gc=False, dry_run=False)
    assert "/a [2K b leads out of the registry" in failed.get_msg()
    (repo / "refs/a\x1b[2K\nb").write_text("junk")
    failed = actions.on_project(catalogue.show_registry, format="table", gc=True, dry_run=True)
    assert "refs/a [2K b: 'junk' is no commit" in failed.get_msg()

"""Publishing with the genuine client to a Hub on loopback, each time in a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from artifacts import REPO, contents, make_artifact
from hub_server import TOKEN
from patience import PATIENCE

pytestmark = pytest.mark.slow

PUBLISH = """
import sys
import time
from pathlib import Path
from voxbuild.errors import PublishError
from voxbuild.publish.hub.target import Hub
from voxbuild.publish.release import prepare
from voxbuild.publish.target import Destination

time.sleep = lambda seconds: None  # between the client's retries
release = prepare(Path(sys.argv[1]), "c0ffee", sys.argv[2], sys.argv[3])
try:
    print("already there" if Hub().published(release) else Hub().publish(release, Destination()))
except PublishError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""
DOWNLOAD = """
import sys
import huggingface_hub
print(huggingface_hub.snapshot_download(sys.argv[1], revision=sys.argv[2]))
"""


@pytest.fixture
def publish(hub_environment):
    """Publish a folder; the finished process."""

    def run(folder, tag="v1", repo=REPO, program=PUBLISH, **environment):
        return subprocess.run(
            [sys.executable, "-c", program, str(folder), repo, tag],
            env=hub_environment | environment,
            capture_output=True,
            text=True,
        )

    return run


def refused(process):
    """The one sentence on stderr; no traceback, no token."""
    assert process.returncode == 3, process.stderr
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert TOKEN not in process.stderr
    assert process.stderr.count("\n") == 1
    return process.stderr


def commits(hub):
    return [call for call in hub.calls if "/commit/" in call]


def files_at(hub, revision):
    """Path -> bytes at a revision, .gitattributes apart."""
    repo = hub.repos[f"models/{REPO}"]
    tree = repo.commits[repo.resolve(revision)]
    return {p: (hub.folder / e["sha256"]).read_bytes() for p, e in tree.items() if p != ".gitattributes"}


def test_one_commit_with_everything_then_the_tag(hub, publish, hub_environment, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    process = publish(folder)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == f"{hub.url}/{REPO}/tree/v1"
    assert len(commits(hub)) == 1
    assert files_at(hub, "v1") == contents(folder)
    writes = [call for call in hub.calls if not call.startswith(("GET", "HEAD"))]
    assert writes[-1] == f"POST /api/models/{REPO}/tag/{hub.repos[f'models/{REPO}'].head}"

    arguments = [sys.executable, "-c", DOWNLOAD, REPO, "v1"]
    download = subprocess.run(arguments, env=hub_environment, capture_output=True, text=True, check=True)
    found = contents(Path(download.stdout.strip()))
    assert found.pop(".gitattributes")
    assert found == contents(folder)


def test_a_second_publish_writes_nothing(hub, publish, tmp_path):
    folder = make_artifact(tmp_path / "a")
    publish(folder)
    before = len(hub.calls)
    assert publish(folder).stdout.strip() == "already there"
    assert not [call for call in hub.calls[before:] if "commit" in call or "tag" in call or "create" in call]


def test_other_content_under_the_same_tag_is_refused(hub, publish, tmp_path):
    first = make_artifact(tmp_path / "a")
    publish(first)
    said = refused(publish(make_artifact(tmp_path / "b", b"other weights")))
    assert said.startswith(f"{REPO}: the tag v1 holds another artifact, and published tags never change")
    assert len(commits(hub)) == 1
    assert files_at(hub, "v1") == contents(first)


def test_the_next_tag_removes_stale_files_in_the_same_commit(hub, publish, tmp_path):
    shard = {"model-00001-of-00002.safetensors": b"stale" * 1000}
    first = make_artifact(tmp_path / "a", extra=shard | {"notes/old.md": b"stale"})
    publish(first)
    assert files_at(hub, "v1") == contents(first)
    second = make_artifact(tmp_path / "b", b"other weights")
    assert publish(second, "v2").returncode == 0
    assert len(commits(hub)) == 2
    assert files_at(hub, "v2") == files_at(hub, "main") == contents(second)
    assert files_at(hub, "v1") == contents(first)


@pytest.mark.parametrize(
    ("call", "status"), [("GET .*/refs", 500), ("GET .*/refs", 401), ("/commit/", 403), ("/commit/", 500)]
)
def test_an_error_of_the_hub_is_one_sentence_and_nothing_is_tagged(hub, publish, tmp_path, call, status):
    hub.add("models", REPO, {})
    hub.fail(call, status)
    said = refused(publish(make_artifact(tmp_path / "a")))
    assert said.startswith(f"{REPO}: ")
    assert str(status) in said
    assert not hub.repos[f"models/{REPO}"].tags


@pytest.mark.parametrize("status", [401, 500])
def test_a_repository_that_cannot_be_created_is_reported(hub, publish, tmp_path, status):
    hub.fail("/repos/create", status)
    assert str(status) in refused(publish(make_artifact(tmp_path / "a")))
    assert not hub.repos


def test_a_wrong_token_is_reported_without_printing_it(hub, publish, tmp_path):
    process = publish(make_artifact(tmp_path / "a"), HF_TOKEN="hf_wrong_secret")
    assert "401" in refused(process)
    assert "set HF_TOKEN" in process.stderr
    assert "hf_wrong_secret" not in process.stderr


def test_a_missing_connection_is_reported(publish, tmp_path):
    process = publish(make_artifact(tmp_path / "a"), HF_ENDPOINT="http://127.0.0.1:9")
    assert "refused" in refused(process)


def test_a_publish_that_failed_at_the_tag_is_completed_without_a_second_commit(hub, publish, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    hub.fail("POST .*/tag/", 500)
    refused(publish(folder))
    assert not hub.repos[f"models/{REPO}"].tags
    hub.faults.clear()
    assert publish(folder).returncode == 0
    assert len(commits(hub)) == 1
    assert files_at(hub, "v1") == contents(folder)


def test_a_concurrent_commit_is_not_overwritten(hub, publish, tmp_path):
    hub.add("models", REPO, {})
    hub.before("/commit/", lambda: hub.add("models", REPO, {"notes.md": b"theirs"}))
    assert "412" in refused(publish(make_artifact(tmp_path / "a")))
    assert files_at(hub, "main") == {"notes.md": b"theirs"}
    assert not hub.repos[f"models/{REPO}"].tags


LARGE = "import voxbuild.publish.hub.target as hub\nhub.SMALL = 100\n" + PUBLISH


def test_large_files_are_sent_without_progress_bars_in_a_pipe(hub, publish, hub_environment, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    del hub_environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    process = publish(folder, program=LARGE)
    assert process.returncode == 0
    assert process.stderr == ""
    assert files_at(hub, "v1") == contents(folder)


@pytest.fixture
def xet(hub_environment):
    """Files go the way that the client takes where hf_xet is installed."""
    pytest.importorskip("hf_xet")
    del hub_environment["HF_HUB_DISABLE_XET"]
    hub_environment["HF_XET_CLIENT_RETRY_MAX_ATTEMPTS"] = "1"
    hub_environment["HF_XET_CLIENT_RETRY_BASE_DELAY"] = "1ms"


def test_files_are_sent_by_xet(hub, publish, xet, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    assert publish(folder, program=LARGE).stderr == ""
    assert files_at(hub, "v1") == contents(folder)
    assert [call for call in hub.calls if "/xorbs/" in call]
    assert not [call for call in hub.calls if "/lfs" in call]
    assert len(commits(hub)) == 1


def test_a_file_that_changes_during_a_xet_upload_is_not_tagged(hub, publish, xet, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    change = "(release.folder / 'model.safetensors').write_bytes(b'changed' * 1000)\ntry:"
    said = refused(publish(folder, program=LARGE.replace("try:", change)))
    assert "does not hold what was sent: model.safetensors; nothing was tagged" in said
    assert not hub.repos[f"models/{REPO}"].tags


@pytest.mark.parametrize("call", ["/xet-write-token/", "/xorbs/", "/shards"])
def test_a_failing_xet_store_is_reported(hub, publish, xet, tmp_path, call):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    hub.fail(call, 500)
    assert "500" in refused(publish(folder, program=LARGE))
    assert not commits(hub)
    hub.faults.clear()
    assert publish(folder, program=LARGE).returncode == 0
    assert files_at(hub, "v1") == contents(folder)


def test_ctrl_c_reports_what_was_published(hub, hub_environment, tmp_path):
    folder = make_artifact(tmp_path / "a", b"weights" * 1000)
    script = "from voxbuild.tasks.interrupt import end_cleanly\nend_cleanly()\n" + PUBLISH
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), REPO, "v1"],
        env=hub_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    hub.before("PUT /lfs", lambda: process.send_signal(signal.SIGINT))
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert out == ""
    assert err.strip() == (
        f"interrupted: {REPO}: nothing was published but the empty repository;"
        " if a commit was still being made, the next publish finds it"
    )
    assert not commits(hub)

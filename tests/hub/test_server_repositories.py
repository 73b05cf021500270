"""Repositories, commits and refs, as the genuine client makes and reads them."""

import hashlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer, serving
from hub_server.disk import exclusive
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
)
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from patience import PATIENCE

WEIGHTS = bytes(range(256)) * 20
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "deep/er/notes.md": b"# Notes"}


def adds(files: dict[str, bytes]) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, data) for path, data in files.items()]


def held(hub: HubServer, name: str, revision: str = "main") -> dict[str, bytes]:
    """What a revision holds, .gitattributes apart."""
    return {path: data for path, data in hub.content(name, revision).items() if path != ".gitattributes"}


def status(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return int(error.value.response.status_code)


@pytest.fixture
def filled(client: HfApi, repo: str) -> str:
    client.create_commit(repo, adds(FILES), commit_message="First")
    return repo


def test_an_uploaded_folder_downloads_unchanged(
    hub: HubServer, client: HfApi, repo: str, tmp_path: Path
) -> None:
    for path, data in FILES.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(data)
    client.upload_folder(repo_id=repo, folder_path=tmp_path / "out")
    client.create_tag(repo, tag="v1")
    folder = client.snapshot_download(repo, revision="v1", cache_dir=tmp_path / "cache")
    assert {path: (Path(folder) / path).read_bytes() for path in FILES} == FILES == held(hub, repo, "v1")


def test_listed_sizes_and_hashes_match_the_bytes(client: HfApi, filled: str) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    entries = list(client.list_repo_tree(filled, recursive=True, expand=True))
    folders = {entry.path for entry in entries if isinstance(entry, RepoFolder)}
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    assert folders == {"deep", "deep/er"}
    assert files.keys() == {".gitattributes", *FILES}
    assert {path: files[path].size for path in FILES} == {path: len(data) for path, data in FILES.items()}
    assert (files["model.safetensors"].lfs.sha256, files["config.json"].lfs) == (sha256, None)
    blob = hashlib.sha1(b"blob 2\0{}").hexdigest()
    assert files["config.json"].blob_id == blob
    assert files["config.json"].last_commit.title == "First"
    assert files[".gitattributes"].last_commit.title == "initial commit"
    found = client.get_paths_info(filled, ["config.json", "deep", "nothing"])
    assert [(entry.path, type(entry)) for entry in found] == [("config.json", RepoFile), ("deep", RepoFolder)]
    siblings = {s.rfilename: s for s in client.model_info(filled, files_metadata=True).siblings}
    assert (siblings["config.json"].blob_id, siblings["model.safetensors"].lfs.sha256) == (blob, sha256)


def test_one_level_of_a_tree(client: HfApi, filled: str) -> None:
    def names(folder: str | None = None) -> list[str]:
        return [entry.path for entry in client.list_repo_tree(filled, folder)]

    assert names() == [".gitattributes", "config.json", "deep", "model.safetensors"]
    assert names("deep") == ["deep/er"]
    assert names("deep/er") == ["deep/er/notes.md"]
    with pytest.raises(RemoteEntryNotFoundError):
        names("nowhere")


def test_long_lists_come_in_pages(hub: HubServer, client: HfApi, filled: str) -> None:
    hub.page_size = 2
    assert len(list(client.list_repo_tree(filled, recursive=True))) == 6
    assert len([call for call in hub.calls if "/tree/" in call]) == 3
    client.upload_file(path_or_fileobj=b"[]", path_in_repo="config.json", repo_id=filled)
    assert len(client.list_repo_commits(filled)) == 3
    assert len([call for call in hub.calls if "/commits/" in call]) == 2


def test_history_starts_with_the_newest(client: HfApi, filled: str) -> None:
    operation = [CommitOperationDelete("deep/")]
    made = client.create_commit(filled, operation, commit_message="Second", commit_description="For tests")
    log = client.list_repo_commits(filled)
    assert [commit.title for commit in log] == ["Second", "First", "initial commit"]
    assert (log[0].commit_id, log[0].message, log[0].authors) == (made.oid, "For tests", ["loopback"])
    assert log[0].created_at >= log[2].created_at
    assert [c.title for c in client.list_repo_commits(filled, revision=log[1].commit_id)] == [
        "First",
        "initial commit",
    ]


def test_the_operations_of_a_commit(hub: HubServer, client: HfApi, filled: str) -> None:
    operations = [
        CommitOperationCopy("model.safetensors", "copy.safetensors"),
        CommitOperationCopy("config.json", "copy.json"),
        CommitOperationDelete("model.safetensors"),
        CommitOperationDelete("deep/"),
    ]
    client.create_commit(filled, operations, commit_message="Copy and delete")
    assert held(hub, filled) == {"config.json": b"{}", "copy.json": b"{}", "copy.safetensors": WEIGHTS}


@pytest.mark.parametrize("path", ["nothing.json", "nowhere/"])
def test_missing_files_cannot_be_deleted(hub: HubServer, client: HfApi, filled: str, path: str) -> None:
    with pytest.raises(RemoteEntryNotFoundError, match="doesn't exist"):
        client.create_commit(filled, [CommitOperationDelete(path)], commit_message="Delete")
    assert held(hub, filled) == FILES


def test_a_commit_needs_its_parent_to_be_the_head(hub: HubServer, client: HfApi, filled: str) -> None:
    head = client.model_info(filled).sha
    client.create_commit(filled, adds({"a": b"a"}), commit_message="Theirs", parent_commit=head)
    with pytest.raises(HfHubHTTPError) as error:
        client.create_commit(filled, adds({"b": b"b"}), commit_message="Ours", parent_commit=head)
    assert status(error) == 412
    assert held(hub, filled) == FILES | {"a": b"a"}


def test_tags_and_branches(hub: HubServer, client: HfApi, filled: str) -> None:
    first = client.model_info(filled).sha
    client.create_tag(filled, tag="v1", tag_message="The first")
    client.create_branch(filled, branch="review/a", revision="v1")
    client.create_commit(filled, adds({"a": b"a"}), commit_message="Review", revision="review/a")
    refs = client.list_repo_refs(filled)
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1": first}
    assert {b.name: b.ref for b in refs.branches} == {
        "main": "refs/heads/main",
        "review/a": "refs/heads/review/a",
    }
    assert (
        client.model_info(filled, revision="review/a").sha
        == hub.repos[f"models/{filled}"].branches["review/a"]
    )
    assert held(hub, filled, "review/a") == FILES | {"a": b"a"}
    assert held(hub, filled) == FILES
    assert hub.repos[f"models/{filled}"].tag_messages == {"v1": "The first"}
    for make in (client.create_tag, client.create_branch):
        with pytest.raises(HfHubHTTPError) as error:
            make(
                filled,
                **{make.__name__.removeprefix("create_"): {"create_tag": "v1"}.get(make.__name__, "main")},
            )
        assert status(error) == 409
    client.delete_tag(filled, tag="v1")
    client.delete_branch(filled, branch="review/a")
    refs = client.list_repo_refs(filled)
    assert ([tag.name for tag in refs.tags], [b.name for b in refs.branches]) == ([], ["main"])
    for forget in (
        lambda: client.delete_tag(filled, tag="v1"),
        lambda: client.delete_branch(filled, branch="b"),
    ):
        with pytest.raises(RevisionNotFoundError):
            forget()


@pytest.mark.parametrize("name", ["has space", "refs/pr/1", "a..b", "x.lock", "-x"])
def test_a_name_that_git_refuses(client: HfApi, filled: str, name: str) -> None:
    with pytest.raises(BadRequestError):
        client.create_tag(filled, tag=name)


def test_a_pull_request_changes_main_when_it_is_merged(hub: HubServer, client: HfApi, filled: str) -> None:
    made = client.create_commit(filled, adds({"a": b"a"}), commit_message="Add a", create_pr=True)
    assert (made.pr_revision, made.pr_num) == ("refs/pr/1", 1)
    assert made.pr_url == f"{hub.url}/{filled}/discussions/1"
    client.create_commit(filled, adds({"b": b"b"}), commit_message="Add b", revision="refs/pr/1")
    refs = client.list_repo_refs(filled, include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    assert held(hub, filled, "refs/pr/1") == FILES | {"a": b"a", "b": b"b"}
    client.create_commit(filled, adds({"config.json": b"[]"}), commit_message="Meanwhile")
    assert "a" not in held(hub, filled)
    hub.merge(filled, 1)
    assert held(hub, filled) == FILES | {"a": b"a", "b": b"b", "config.json": b"[]"}


def test_repositories_exist_once(client: HfApi, repo: str) -> None:
    assert client.create_repo(repo, exist_ok=True).repo_id == repo
    with pytest.raises(HfHubHTTPError) as error:
        client.create_repo(repo)
    assert status(error) == 409
    client.delete_repo(repo)
    with pytest.raises(RepositoryNotFoundError):
        client.model_info(repo)
    client.create_repo(repo)


def test_other_kinds_of_repositories(client: HfApi, tmp_path: Path) -> None:
    client.create_repo("team/clips", repo_type="dataset")
    upload = {"path_or_fileobj": WEIGHTS, "path_in_repo": "a.safetensors", "repo_id": "team/clips"}
    client.upload_file(**upload, repo_type="dataset")
    path = client.hf_hub_download("team/clips", "a.safetensors", repo_type="dataset", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    with pytest.raises(RepositoryNotFoundError):
        client.model_info("team/clips")


def test_missing_things_raise_their_own_error_types(client: HfApi, filled: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        client.list_repo_refs("team/nothing")
    with pytest.raises(RevisionNotFoundError):
        client.model_info(filled, revision="v9")
    with pytest.raises(RevisionNotFoundError):
        client.create_commit(filled, adds({"a": b"a"}), commit_message="Add", revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        client.hf_hub_download(filled, "nothing.json", cache_dir=tmp_path)


def test_a_server_started_again_serves_the_same(hub: HubServer, client: HfApi, filled: str) -> None:
    client.create_tag(filled, tag="v1")
    with serving(hub.folder) as second:
        other = HfApi(endpoint=second.url, token=TOKEN)
        assert other.list_repo_commits(filled) == client.list_repo_commits(filled)
        other.create_commit(filled, adds({"a": b"a"}), commit_message="By the second")
        assert client.list_repo_commits(filled)[0].title == "By the second"
        assert held(hub, filled, "v1") == FILES


def test_of_concurrent_commits_on_one_parent_one_succeeds(hub: HubServer, client: HfApi, filled: str) -> None:
    head = client.model_info(filled).sha
    with serving(hub.folder) as second:
        apis = [client, HfApi(endpoint=second.url, token=TOKEN)] * 4

        def commit(number: int) -> int:
            operations = adds({"config.json": b"%d" % number})
            try:
                apis[number].create_commit(filled, operations, commit_message="Race", parent_commit=head)
            except HfHubHTTPError as error:
                return int(error.response.status_code)
            return 200

        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(commit, range(8)))
    assert answers == [200] + [412] * 7
    assert [info.title for info in client.list_repo_commits(filled)] == ["Race", "First", "initial commit"]


@pytest.mark.slow
def test_concurrent_changes_wait_for_each_other(hub: HubServer, client: HfApi, filled: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        with exclusive(hub.folder):
            changes = [
                pool.submit(client.create_tag, filled, tag="v1"),
                pool.submit(client.create_commit, filled, adds({"a": b"a"}), commit_message="Add"),
            ]
            assert wait(changes, timeout=0.5).done == set()
        assert wait(changes, timeout=PATIENCE).not_done == set()


def test_the_server_runs_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hub_server", str(tmp_path / "hub")]
    tests = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=tests, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 0
    assert line.startswith("HF_ENDPOINT=http://127.0.0.1:")
    assert line.strip().endswith(f"HF_TOKEN={TOKEN}")

"""Permissions, renamed and deleted repositories, and a server that is full or reports wrong hashes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from hub_server import HubServer
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

NAME = "team/voice"
LARGE = bytes(5000)


def commit(client: HfApi, path: str = "a", data: bytes = b"a", name: str = NAME, **more: object) -> str:
    operations = [CommitOperationAdd(path, data)]
    return str(client.create_commit(name, operations, commit_message="Add", **more).oid)


def refused(error: pytest.ExceptionInfo[Exception]) -> int:
    cause = error.value if isinstance(error.value, HfHubHTTPError) else error.value.__cause__
    assert isinstance(cause, HfHubHTTPError)
    return int(cause.response.status_code)


@pytest.fixture
def other(hub: HubServer, client: HfApi) -> HfApi:
    """Somebody who may write elsewhere."""
    hub.add_token("hf_other", "other", namespaces=["other"])
    return HfApi(endpoint=hub.url, token="hf_other")


@pytest.fixture
def nobody(hub: HubServer, client: HfApi) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def test_tokens_name_their_user(hub: HubServer, client: HfApi, other: HfApi, repo: str) -> None:
    assert client.whoami()["name"] == "loopback"
    told = other.whoami()
    assert (told["name"], told["orgs"][0]["name"]) == ("other", "other")
    wrong = HfApi(endpoint=hub.url, token="hf_wrong")
    for ask in (wrong.whoami, lambda: wrong.model_info(repo)):  # not even what everybody may read
        with pytest.raises(HfHubHTTPError) as error:
            ask()
        assert refused(error) == 401


def test_private_repositories_are_hidden_from_others(
    hub: HubServer, client: HfApi, other: HfApi, nobody: HfApi, tmp_path: Path
) -> None:
    client.create_repo(NAME, private=True)
    assert client.model_info(NAME).private
    for api in (other, nobody):
        for ask in (
            lambda api: api.model_info(NAME),
            lambda api: api.list_repo_refs(NAME),
            lambda api: api.hf_hub_download(NAME, ".gitattributes", cache_dir=tmp_path),
        ):
            with pytest.raises(RepositoryNotFoundError):
                ask(api)
    client.update_repo_settings(NAME, private=False)
    assert nobody.model_info(NAME).id == NAME


def test_gated_files_go_to_those_who_were_granted_access(
    hub: HubServer, client: HfApi, other: HfApi, nobody: HfApi, repo: str, tmp_path: Path
) -> None:
    commit(client, "weights.safetensors")
    hub.restrict(repo, gated="manual")
    for api in (other, nobody):
        assert api.model_info(repo).gated == "manual"
        with pytest.raises(GatedRepoError):
            api.hf_hub_download(repo, "weights.safetensors", cache_dir=tmp_path)
        with pytest.raises(GatedRepoError):
            api.auth_check(repo)
    hub.restrict(repo, granted=["other"])
    assert Path(other.hf_hub_download(repo, "weights.safetensors", cache_dir=tmp_path)).read_bytes() == b"a"
    client.hf_hub_download(repo, "weights.safetensors", cache_dir=tmp_path / "own")


@pytest.mark.parametrize(("role", "namespaces"), [("read", None), ("write", ["other"]), ("write", [])])
def test_writers_without_permission_are_refused(
    hub: HubServer, repo: str, role: str, namespaces: list[str] | None
) -> None:
    hub.add_token("hf_guest", "guest", role, namespaces)
    guest = HfApi(endpoint=hub.url, token="hf_guest")
    for write in (
        lambda: commit(guest),
        lambda: commit(guest, "a.safetensors"),
        lambda: guest.auth_check(repo, write=True),
        lambda: guest.create_tag(repo, tag="v1"),
        lambda: guest.create_branch(repo, branch="b"),
        lambda: guest.delete_branch(repo, branch="main"),
        lambda: guest.create_repo("team/more"),
        lambda: guest.delete_repo(repo),
        lambda: guest.move_repo(repo, "team/more"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            write()
        assert refused(error) == 403
    assert list(hub.content(repo)) == [".gitattributes"]
    assert hub.repos[f"models/{repo}"].tags == {}
    guest.auth_check(repo)
    assert guest.create_repo(repo, exist_ok=True).repo_id == repo  # the client looks whether it is there


def test_without_a_token_nothing_is_written(nobody: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError) as error:
        nobody.create_tag(repo, tag="v1")
    assert refused(error) == 401


def test_users_without_write_access_can_open_pull_requests(
    hub: HubServer, client: HfApi, other: HfApi, repo: str
) -> None:
    made = other.create_commit(
        repo, [CommitOperationAdd("a.safetensors", b"a")], commit_message="Add a", create_pr=True
    )
    assert made.pr_num == 1
    (pull,) = client.get_repo_discussions(repo)
    assert (pull.num, pull.title, pull.status, pull.author) == (1, "Add a", "open", "other")
    with pytest.raises(HfHubHTTPError) as error:
        other.merge_pull_request(repo, 1)
    assert refused(error) == 403
    client.merge_pull_request(repo, 1)
    assert client.get_discussion_details(repo, 1).status == "merged"
    assert client.get_discussion_details(repo, 1).merge_commit_oid == client.model_info(repo).sha
    assert hub.content(repo)["a.safetensors"] == b"a"
    assert list(client.get_repo_discussions(repo, discussion_status="open")) == []


def test_a_closed_pull_request_is_not_merged(client: HfApi, repo: str) -> None:
    commit(client, create_pr=True)
    client.change_discussion_status(repo, 1, "closed")
    with pytest.raises(HfHubHTTPError) as error:
        client.merge_pull_request(repo, 1)
    assert refused(error) == 400


def test_a_draft_pull_request_must_be_opened_before_merging(hub: HubServer, client: HfApi, repo: str) -> None:
    draft = client.create_pull_request(repo, title="Add a")
    assert (draft.status, draft.git_reference) == ("draft", "refs/pr/1")
    commit(client, revision="refs/pr/1")
    with pytest.raises(HfHubHTTPError) as error:
        client.merge_pull_request(repo, 1)
    assert refused(error) == 400
    client.change_discussion_status(repo, 1, "open")
    client.merge_pull_request(repo, 1)
    assert hub.content(repo)["a"] == b"a"


def test_an_old_name_redirects_to_the_new_one(
    hub: HubServer, client: HfApi, repo: str, tmp_path: Path
) -> None:
    first = commit(client, "a.safetensors")
    client.move_repo(repo, "team/between")
    hub.rename("team/between", "team/new")
    assert client.model_info(repo).id == "team/new"
    assert Path(client.hf_hub_download(repo, "a.safetensors", cache_dir=tmp_path)).read_bytes() == b"a"
    commit(client, "b.safetensors", b"b", parent_commit=first)  # POST: preupload, LFS and commit follow too
    client.create_tag(repo, tag="v1")
    assert hub.content("team/new", "v1")["b.safetensors"] == b"b"
    client.create_repo(repo)  # the old name is free again
    assert client.model_info(repo).id == repo


def test_a_repository_may_be_renamed_or_deleted_during_a_commit(
    hub: HubServer, client: HfApi, repo: str
) -> None:
    hub.before("POST .*/commit/", lambda: hub.rename(repo, "team/new"))
    commit(client)
    assert hub.content("team/new")["a"] == b"a"
    hub.before("POST .*/commit/", lambda: hub.delete("team/new"))
    with pytest.raises(RepositoryNotFoundError):
        commit(client, "b", name="team/new")
    assert "models/team/new" not in hub.repos


def test_a_full_server_answers_507(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.quota = 4000
    with pytest.raises(RuntimeError) as error:
        commit(client, "a.safetensors", LARGE)
    assert refused(error) == 507
    with pytest.raises(HfHubHTTPError) as error:
        commit(client, "a.txt", b"a" * 5000)
    assert refused(error) == 507
    assert list(hub.content(repo)) == [".gitattributes"]
    hub.quota = None
    commit(client, "a.safetensors", LARGE)


def test_declared_wrong_hashes_appear_in_every_listing(hub: HubServer, client: HfApi, repo: str) -> None:
    commit(client, "a.safetensors")
    commit(client, "b.json")

    def told() -> list[object]:
        tree = {entry.path: entry for entry in client.list_repo_tree(repo)}
        info = client.get_paths_info(repo, ["a.safetensors"])[0]
        sibling = {s.rfilename: s for s in client.model_info(repo, files_metadata=True).siblings}
        head = httpx2.head(f"{hub.url}/{repo}/resolve/main/a.safetensors")
        return [
            tree["a.safetensors"].lfs.sha256,
            info.lfs.sha256,
            sibling["a.safetensors"].lfs.sha256,
            head.headers["x-linked-etag"],
            tree["b.json"].blob_id,
            sibling["b.json"].blob_id,
        ]

    right = told()
    assert len(set(right[:3])) == 1
    hub.wrong_hash("a.safetensors")
    hub.wrong_hash("b.json")
    assert not set(told()) & set(right)


def test_a_skewed_clock_shows_in_dates(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.skew = -timedelta(days=400).total_seconds()
    commit(client)
    now = datetime.now(UTC)
    assert now - client.list_repo_commits(repo)[0].created_at > timedelta(days=399)
    assert str(now.year) not in httpx2.get(f"{hub.url}/api/models/{repo}").headers["date"]

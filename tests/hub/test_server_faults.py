"""Declared faults, and how the genuine client reacts to them."""

import threading
from pathlib import Path

import httpx2
import pytest
from hub_server import HubServer, flipped, serving, swapped, truncated
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from patience import PATIENCE

WEIGHTS = bytes(range(256)) * 400


def commit(client: HfApi, repo: str, **more: str) -> str:
    operations = [CommitOperationAdd("model.safetensors", WEIGHTS), CommitOperationAdd("config.json", b"{}")]
    return str(client.create_commit(repo, operations, commit_message="Add", **more).oid)


def titles(hub: HubServer, repo: str) -> list[str]:
    found = hub.repos[f"models/{repo}"]
    return [info["title"] for info in found.history(found.head)]


def asked(hub: HubServer, call: str) -> int:
    return sum(each.startswith(call) for each in hub.calls)


@pytest.mark.parametrize(("when", "made"), [("before", False), ("within", True), ("after", True)])
def test_a_commit_whose_connection_is_cut(
    hub: HubServer, client: HfApi, repo: str, when: str, made: bool
) -> None:
    hub.cut("POST .*/commit/", when)
    with pytest.raises(httpx2.HTTPError):
        commit(client, repo)
    assert titles(hub, repo) == [*(["Add"] if made else []), "initial commit"]
    commit(client, repo)
    assert titles(hub, repo)[0] == "Add"


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_an_upload_that_is_cut_is_sent_again(
    hub: HubServer, client: HfApi, repo: str, when: str, naps: list[float]
) -> None:
    hub.cut("PUT /lfs/", when, times=2)
    commit(client, repo)
    assert hub.content(repo)["model.safetensors"] == WEIGHTS
    assert asked(hub, "PUT") == 3
    assert naps == [1, 2]


def test_a_cut_upload_leaves_nothing(hub: HubServer, client: HfApi, repo: str) -> None:
    blobs = set(hub.folder.glob("?" * 64))
    hub.cut("PUT /lfs/", "within", times=100)
    with pytest.raises(RuntimeError, match=r"uploading 'model\.safetensors'"):
        commit(client, repo)
    assert set(hub.folder.glob("?" * 64)) == blobs


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_cut_download_is_resumed(hub: HubServer, client: HfApi, when: str, tmp_path: Path) -> None:
    hub.add("models", "team/other", {"model.safetensors": WEIGHTS})
    hub.cut("GET .*/resolve/", when, times=2)
    path = client.hf_hub_download("team/other", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    assert asked(hub, "GET /team/other/resolve") == 3


def test_a_cut_must_be_before_within_or_after(hub: HubServer) -> None:
    with pytest.raises(ValueError, match="not during"):
        hub.cut("GET", "during")


def test_status_429_carries_retry_after(hub: HubServer, client: HfApi, repo: str, naps: list[float]) -> None:
    hub.fail("POST .*/preupload/", 429, times=1, headers={"Retry-After": "7"})
    commit(client, repo)
    assert naps == [8]  # the client adds one


def test_several_errors_come_in_the_order_they_were_declared(
    hub: HubServer, client: HfApi, repo: str
) -> None:
    hub.fail("GET .*/refs", 500, times=1)
    hub.fail("GET .*/refs", 403, times=1)
    for status in (500, 403):
        with pytest.raises(HfHubHTTPError) as error:
            client.list_repo_refs(repo)
        assert error.value.response.status_code == status
    client.list_repo_refs(repo)


@pytest.mark.parametrize(
    ("damage", "served"),
    [
        (flipped, WEIGHTS[:51200] + b"\x01" + WEIGHTS[51201:]),
        (truncated, WEIGHTS[: len(WEIGHTS) // 2]),
        (swapped(b"other"), b"other"),
    ],
)
def test_damaged_files_reach_the_client_with_the_original_hashes(
    hub: HubServer, client: HfApi, damage: object, served: bytes, tmp_path: Path
) -> None:
    hub.add("models", "team/other", {"model.safetensors": WEIGHTS})
    hub.corrupt("(GET|HEAD) .*/model.safetensors", damage)
    path = client.hf_hub_download("team/other", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == served
    assert (
        Path(path).resolve().name
        == hub.repos["models/team/other"].commits[hub.repos["models/team/other"].head]["model.safetensors"][
            "sha256"
        ]
    )


def test_ranges_of_damaged_files_are_damaged_too(hub: HubServer) -> None:
    hub.add("models", "team/other", {"model.safetensors": WEIGHTS})
    hub.corrupt("GET .*/model.safetensors", swapped(b"0123456789"))
    url = f"{hub.url}/team/other/resolve/main/model.safetensors"

    def part(asked: str) -> tuple[int, bytes, str]:
        answer = httpx2.get(url, headers={"Range": f"bytes={asked}"})
        return answer.status_code, answer.content, answer.headers.get("content-range", "")

    assert part("2-4") == (206, b"234", "bytes 2-4/10")
    assert part("7-") == (206, b"789", "bytes 7-9/10")
    assert part("-2") == (206, b"89", "bytes 8-9/10")
    assert part("10-")[0] == 416


def test_a_slow_answer_arrives_completely(hub: HubServer, client: HfApi, tmp_path: Path) -> None:
    hub.add("models", "team/other", {"a.safetensors": WEIGHTS[:2000]})
    hub.drip("GET .*/a.safetensors", 20_000)
    path = client.hf_hub_download("team/other", "a.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS[:2000]


def test_a_server_that_never_answers(hub: HubServer) -> None:
    hub.add("models", "team/other", {"a": b"a"})
    hub.hang("GET /api/models", times=1)
    url = f"{hub.url}/api/models/team/other"
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(url, timeout=httpx2.Timeout(PATIENCE, read=0.2))
    assert httpx2.get(url, timeout=PATIENCE).status_code == 200


def test_a_callback_runs_in_the_middle_of_an_upload(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.drip("PUT /lfs/", 4 * len(WEIGHTS))
    met = threading.Event()
    hub.before("PUT /lfs/", met.set)
    commit(client, repo)
    assert met.is_set()
    assert hub.content(repo)["model.safetensors"] == WEIGHTS


def test_a_cut_upload_stores_nothing_before_it_is_sent_again(
    hub: HubServer, client: HfApi, repo: str
) -> None:
    found: list[int] = []
    hub.cut("PUT /lfs/", "within")
    hub.before("PUT /lfs/", lambda: found.append(len(hub.content(repo))))
    commit(client, repo)
    assert (found, asked(hub, "PUT")) == ([1], 2)


def test_a_commit_can_be_made_between_two_calls(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.before("POST .*/commit/", lambda: hub.add("models", repo, {"theirs.md": b"theirs"}, "Theirs"))
    with pytest.raises(HfHubHTTPError) as error:
        commit(client, repo, parent_commit=client.model_info(repo).sha)
    assert error.value.response.status_code == 412
    assert titles(hub, repo) == ["Theirs", "initial commit"]


def test_a_callback_that_raises_is_not_ignored(tmp_path: Path) -> None:
    def blow() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), serving(tmp_path) as hub:
        hub.before("GET", blow)
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{hub.url}/api/models/a/b")

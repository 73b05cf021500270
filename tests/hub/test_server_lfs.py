"""Uploads by LFS, in one or several parts; files that the server has are not sent."""

import hashlib

import httpx2
import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import BadRequestError

DATA = bytes(range(256)) * 1000
OID = hashlib.sha256(DATA).hexdigest()


def upload(client: HfApi, repo: str, path: str = "model.safetensors", data: bytes = DATA) -> None:
    client.create_commit(repo, [CommitOperationAdd(path, data)], commit_message="Add")


def puts(hub: HubServer) -> list[str]:
    return [call for call in hub.calls if call.startswith("PUT")]


def batch(hub: HubServer, repo: str) -> dict[str, object]:
    """What the server says how to upload DATA."""
    said = {
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": [{"oid": OID, "size": len(DATA)}],
    }
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx2.post(f"{hub.url}/{repo}.git/info/lfs/objects/batch", json=said, headers=headers)
    return answer.json()["objects"][0]


def test_a_large_file_goes_in_parts(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.multipart_threshold, hub.chunk_size = 100_000, 50_000
    hub.fail("PUT /lfs/.*/3$", 500, times=1)
    upload(client, repo)
    assert hub.content(repo)["model.safetensors"] == DATA
    assert [int(call.rpartition("/")[2]) for call in puts(hub)] == [1, 2, 3, 3, 4, 5, 6]
    assert not list((hub.folder / "parts").iterdir())


def test_parts_that_differ_from_those_sent_are_refused(hub: HubServer, repo: str) -> None:
    hub.multipart_threshold, hub.chunk_size = 0, len(DATA) // 2
    told = batch(hub, repo)["actions"]["upload"]
    etags = [
        httpx2.put(told["header"][str(number)], content=data).headers["etag"]
        for number, data in ((1, DATA[: len(DATA) // 2]), (2, bytes(len(DATA) // 2)))
    ]
    parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    assert httpx2.post(told["href"], json={"oid": OID, "parts": parts[::-1]}).status_code == 422
    assert httpx2.post(told["href"], json={"oid": OID, "parts": parts}).status_code == 422
    etag = httpx2.put(told["header"]["2"], content=DATA[len(DATA) // 2 :]).headers["etag"]
    assert httpx2.post(told["href"], json={"oid": OID, "parts": parts}).status_code == 422  # the old etag
    assert not hub.blob(OID).exists()
    parts[1]["etag"] = etag
    assert httpx2.post(told["href"], json={"oid": OID, "parts": parts}).status_code == 200
    assert hub.blob(OID).read_bytes() == DATA


@pytest.mark.parametrize("sent", [DATA[:-1], DATA[:-1] + b"x", b""])
def test_other_bytes_than_announced_are_refused(hub: HubServer, repo: str, sent: bytes) -> None:
    href = batch(hub, repo)["actions"]["upload"]["href"]
    assert httpx2.put(href, content=sent).status_code == 422
    assert not hub.blob(OID).exists()
    assert httpx2.put(href, content=DATA).status_code == 200
    assert "actions" not in batch(hub, repo)


def test_another_size_than_announced_is_refused(hub: HubServer, repo: str) -> None:
    href = batch(hub, repo)["actions"]["upload"]["href"]
    assert httpx2.put(href.removesuffix(str(len(DATA))) + "7", content=DATA).status_code == 422


def test_unchanged_files_make_no_commit(hub: HubServer, client: HfApi, repo: str) -> None:
    upload(client, repo)
    upload(client, repo)
    assert len(client.list_repo_commits(repo)) == 2
    assert sum("/commit/" in call for call in hub.calls) == 1


def test_files_uploaded_before_a_failure_are_not_sent_again(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.fail("POST .*/commit/", 403, times=1)
    with pytest.raises(Exception, match="403"):
        upload(client, repo)
    upload(client, repo)
    assert len(puts(hub)) == 1
    assert hub.content(repo)["model.safetensors"] == DATA


def test_the_client_verifies_its_upload(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.before("POST .*/objects/verify", lambda: hub.blob(OID).unlink())
    with pytest.raises(RuntimeError, match=r"uploading 'model\.safetensors'"):
        upload(client, repo)
    assert list(hub.content(repo)) == [".gitattributes"]


def test_a_commit_of_missing_uploads_is_refused(hub: HubServer, client: HfApi, repo: str) -> None:
    hub.before("POST .*/commit/", lambda: hub.blob(OID).unlink())
    with pytest.raises(BadRequestError, match="does not exist"):
        upload(client, repo)
    assert list(hub.content(repo)) == [".gitattributes"]


@pytest.mark.parametrize(
    ("path", "data", "large"),
    [
        ("a.safetensors", b"short", True),
        ("a.json", b"{}", False),
        ("a.json", b" " * 3000, True),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00", True),
        ("a.safetensors", b"", False),
    ],
)
def test_large_and_binary_files_go_by_lfs(
    hub: HubServer, client: HfApi, repo: str, path: str, data: bytes, large: bool
) -> None:
    hub.lfs_threshold = 2000
    upload(client, repo, path, data)
    assert bool(puts(hub)) == large
    (entry,) = client.get_paths_info(repo, [path])
    assert bool(entry.lfs) == large
    assert hub.content(repo)[path] == data

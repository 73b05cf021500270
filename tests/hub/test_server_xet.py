"""Uploads by Xet, the genuine client's way wherever hf_xet is installed; in a process of its own."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer

pytest.importorskip("hf_xet")

NAME = "team/voice"
UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[2], exist_ok=True)
api.upload_folder(repo_id=sys.argv[2], folder_path=sys.argv[1], create_pr=sys.argv[3] == "propose")
"""


def random_bytes(count: int) -> bytes:
    return random.Random(count).randbytes(count)


FILES = {
    "random.safetensors": random_bytes(300_000),
    "zeros.safetensors": bytes(300_000) + b"end",
    "text.bin": b"".join(b"%d\n" % n for n in range(60_000)),
    "floats.bin": b"".join(random_bytes(2) + bytes([n % 3, 63]) for n in range(50_000)),
    "small.json": b"{}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    return tmp_path / "out"


def upload(hub: HubServer, folder: Path, how: str = "commit", token: str = TOKEN) -> str:
    """What it says to stderr; "" if it went well."""
    without = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET")
    online = {name: value for name, value in os.environ.items() if name not in without}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder.parent / "hf-home"), "HF_TOKEN": token}
    process = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(folder), NAME, how],
        env=online | home | {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return process.stderr if process.returncode else ""


def held(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    return {path: d for path, d in hub.content(NAME, revision).items() if path != ".gitattributes"}


def test_files_come_whole_and_not_by_lfs(hub: HubServer, folder: Path) -> None:
    assert upload(hub, folder) == ""
    assert held(hub) == FILES
    assert [call for call in hub.calls if "/cas/v1/xorbs/" in call]
    assert not [call for call in hub.calls if "/lfs/" in call]


def test_a_pull_request_by_xet(hub: HubServer, folder: Path) -> None:
    assert upload(hub, folder, "propose") == ""
    assert (held(hub), held(hub, "refs/pr/1")) == ({}, FILES)


def test_a_shard_that_is_refused_commits_nothing(hub: HubServer, folder: Path) -> None:
    hub.fail("POST /cas/v./shards", 400)
    assert "400" in upload(hub, folder)
    assert held(hub) == {}

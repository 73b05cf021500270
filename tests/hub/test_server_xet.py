"""Uploads by Xet, the genuine client's way wherever hf_xet is installed; in a process of its own."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer, flipped
from patience import PATIENCE

pytest.importorskip("hf_xet")

NAME = "team/voice"
UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[2], exist_ok=True)
api.upload_folder(repo_id=sys.argv[2], folder_path=sys.argv[1], create_pr=sys.argv[3] == "propose")
"""


DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[2], local_dir=sys.argv[1])
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


def run(hub: HubServer, program: str, folder: Path, how: str = "", **environment: str) -> str:
    """What it says to stderr; "" if it went well."""
    without = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET")
    online = {name: value for name, value in os.environ.items() if name not in without}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder.parent / "hf-home"), "HF_TOKEN": TOKEN}
    process = subprocess.run(
        [sys.executable, "-c", program, str(folder), NAME, how],
        env=online | home | {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return process.stderr if process.returncode else ""


def held(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    return {path: d for path, d in hub.content(NAME, revision).items() if path != ".gitattributes"}


@pytest.mark.parametrize("policy", ["auto", "bg4-lz4"])
def test_files_come_whole_and_not_by_lfs(hub: HubServer, folder: Path, policy: str) -> None:
    assert run(hub, UPLOAD, folder, HF_XET_XORB_COMPRESSION_POLICY=policy) == ""
    assert held(hub) == FILES
    assert [call for call in hub.calls if "/cas/v1/xorbs/" in call]
    assert not [call for call in hub.calls if "/lfs/" in call]


def test_a_pull_request_by_xet(hub: HubServer, folder: Path) -> None:
    assert run(hub, UPLOAD, folder, "propose") == ""
    assert (held(hub), held(hub, "refs/pr/1")) == ({}, FILES)


def test_a_shard_that_is_refused_commits_nothing(hub: HubServer, folder: Path) -> None:
    hub.fail("POST /cas/v./shards", 400)
    assert "400" in run(hub, UPLOAD, folder)
    assert held(hub) == {}


@pytest.mark.slow
def test_files_are_downloaded_by_xet(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    assert run(hub, UPLOAD, folder) == ""
    hub.xet_downloads = True
    assert run(hub, DOWNLOAD, tmp_path / "back", HF_HOME=str(tmp_path / "other-home")) == ""
    assert {name: (tmp_path / "back" / name).read_bytes() for name in FILES} == FILES
    assert [call for call in hub.calls if call.startswith("GET /cas/xorbs/")]
    assert not [call for call in hub.calls if call.startswith("GET") and call.endswith(".safetensors")]


@pytest.mark.slow
def test_damage_of_a_download_reaches_the_client(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    assert run(hub, UPLOAD, folder) == ""
    hub.xet_downloads = True
    hub.corrupt("GET /cas/xorbs/", flipped)
    assert run(hub, DOWNLOAD, tmp_path / "back", HF_HOME=str(tmp_path / "other-home")) == ""
    name = "random.safetensors"
    came = (tmp_path / "back" / name).read_bytes()
    assert came != FILES[name]
    assert len(came) == len(FILES[name])


def test_chunks_that_make_another_file_are_refused(hub: HubServer, folder: Path) -> None:
    def damage() -> None:
        (xorb,) = (hub.folder / "xorbs").iterdir()
        xorb.write_bytes(flipped(xorb.read_bytes()))

    hub.before("POST /cas/v./shards", damage)
    assert "400" in run(hub, UPLOAD, folder)
    assert held(hub) == {}

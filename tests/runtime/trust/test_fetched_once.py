"""A repository of the Hub is fetched once: a commit that is in the cache is used without asking anybody."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from committed import CHECKPOINT
from hub_server import HubServer, serving

NAME = "team/voice"
PROGRAM = """
import sys
from voxrun.errors import ModelError
from voxrun.trust.locate import locate
try:
    print(locate(sys.argv[1], revision=sys.argv[2] or None))
except ModelError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def commit(hub: HubServer) -> str:
    files = {name: (CHECKPOINT / name).read_bytes() for name in ("params.json", "tekken.json")}
    other = {"notes.txt": b"not for us", "consolidated.safetensors": b"nobody opens it here" * 100}
    return hub.add("models", NAME, files | other)


def locate(hub: HubServer, revision: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: huggingface_hub reads its environment at import."""
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(hub.folder.parent / "hf-home")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, NAME, revision],
        env=online | home | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def found(process: subprocess.CompletedProcess[str]) -> Path:
    assert process.returncode == 0, process.stderr
    return Path(process.stdout.strip())


def forget_listing(folder: Path) -> None:
    """As clients of the Hub leave the cache that keep no list of a commit's files."""
    shutil.rmtree(folder.parents[1] / "trees", ignore_errors=True)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            "RepoNotFound",
            f"{NAME}: no such repository on the Hub, or a private or gated one; correct the name",
        ),
        ("RevisionNotFound", f"{NAME}: no revision v9 on the Hub"),
    ],
)
def test_what_is_not_on_the_hub_is_said_plainly(
    hub: HubServer, commit: str, failure: str, expected: str
) -> None:
    hub.fail("GET .*", 404, code=failure)
    process = locate(hub, "v9")
    assert expected in process.stderr
    assert "http" not in process.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_commit_in_the_cache_needs_no_network(hub: HubServer, commit: str) -> None:
    folder = found(locate(hub, commit))
    assert names(folder) == {"params.json", "tekken.json", "consolidated.safetensors"}
    assert hub.calls
    hub.calls.clear()
    forget_listing(folder)
    assert found(locate(hub, commit)) == folder
    assert hub.calls == []


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["params.json", "tekken.json", "consolidated.safetensors"])
def test_an_interrupted_download_is_completed(hub: HubServer, commit: str, lost: str) -> None:
    folder = found(locate(hub, commit))
    (folder / lost).unlink()
    forget_listing(folder)
    found(locate(hub, commit))
    assert lost in names(folder)


@pytest.mark.slow
def test_a_name_is_followed_to_where_it_leads_now(hub: HubServer, commit: str) -> None:
    folder = found(locate(hub, ""))
    newer = hub.add("models", NAME, {name: (folder / name).read_bytes() for name in names(folder)})
    assert (folder.name, found(locate(hub, "")).name) == (commit, newer)
    assert found(locate(hub, commit)) == folder


@pytest.mark.slow
def test_offline_the_cache_is_used_and_a_missing_commit_is_named(hub: HubServer, commit: str) -> None:
    folder = found(locate(hub, commit))
    assert found(locate(hub, commit, HF_HUB_OFFLINE="1")) == folder
    process = locate(hub, "0" * 40, HF_HUB_OFFLINE="1")
    assert process.returncode == 1
    assert f"{NAME} at {'0' * 40} is not in the cache, nor can the Hub be reached" in process.stderr

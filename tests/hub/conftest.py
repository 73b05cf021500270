"""The genuine client, in this process, against the server on loopback."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from hub_server import TOKEN, HubServer, serving
from huggingface_hub import HfApi, constants

NAME = "team/voice"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have slept before each of its retries; it does not."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append)
    monkeypatch.setattr(huggingface_hub.utils._http, "time", clock)
    monkeypatch.setattr(huggingface_hub.file_download, "time", clock)
    return slept


@pytest.fixture
def client(hub: HubServer, naps: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[HfApi]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    files = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    yield HfApi(endpoint=hub.url, token=TOKEN)
    huggingface_hub.close_session()


@pytest.fixture
def repo(client: HfApi) -> str:
    """A new repository."""
    client.create_repo(NAME)
    return NAME


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The client's uploads use an argument that its HTTP library deprecates."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))

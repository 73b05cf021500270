"""Fixtures: one server for a module of tests, over the embedded tiny model."""

from collections.abc import Iterator
from pathlib import Path

import clients
import pytest
from committed import CHECKPOINT
from served import Served, served

from voxrun.transcriber import Transcriber


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return Transcriber.load(CHECKPOINT)


@pytest.fixture(scope="module")
def server(transcriber: Transcriber) -> Iterator[Served]:
    with served(transcriber) as running:
        yield running


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-clients", default=False):
        config.pluginmanager.register(ClientTable())


class ClientTable:
    """Writes docs/clients.md after the tests."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, _, name = report.nodeid.partition("::")
        test = f"{Path(path).name}::{name}"
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[test] = report.outcome

    def pytest_sessionfinish(self) -> None:
        clients.DOCUMENT.write_text(clients.table(self._outcomes), encoding="utf-8")

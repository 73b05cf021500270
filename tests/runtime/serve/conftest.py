"""Fixtures: one server for a module of tests, over the embedded tiny model."""

from collections.abc import Iterator

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

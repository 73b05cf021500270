"""The collector of cycles is as it was after a load, whatever happens meanwhile."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxrun.collector import paused
from voxrun.errors import VoxrunError
from voxrun.transcriber import Transcriber


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    gc.enable()


def test_it_is_paused_once_also_where_pauses_are_nested() -> None:
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_if_the_program_had_switched_it_off() -> None:
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()


def test_it_is_on_after_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(VoxrunError):
        Transcriber.load(tmp_path)
    assert gc.isenabled()

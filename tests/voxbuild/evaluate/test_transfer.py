"""A worker's copy of the weights: at the same path, or downloaded, and always the same content."""

import shutil
from pathlib import Path

import pytest

from voxbuild.evaluate.jobs import UNQUANTIZED, Model
from voxbuild.evaluate.transfer import UnfitError, contents, weights
from voxbuild.evaluate.worker import opened
from voxrun.errors import ModelError

TINY = Path(__file__).resolve().parents[3] / "tiny/checkpoint"
REPO = "someone/name@v1"
NOWHERE = Model(UNQUANTIZED, Path("/not/there"), "the digest", REPO)


@pytest.fixture
def hub(monkeypatch):
    """What a download from the Hub gives: a folder, or the error to raise."""
    given = {}

    def locate(model):
        if isinstance(there := given[model], Exception):
            raise there
        return there

    monkeypatch.setattr("voxrun.trust.locate.locate", locate)
    return given


def test_weights_are_downloaded_where_the_folder_is_not_seen(hub, tmp_path):
    shutil.copytree(TINY, tmp_path / "snapshot")
    hub[REPO] = tmp_path / "snapshot"
    assert weights(NOWHERE, contents(TINY)) == tmp_path / "snapshot"


def test_other_weights_are_not_taken_for_them(hub, tmp_path):
    hub[REPO] = shutil.copytree(TINY, tmp_path / "snapshot")
    with (tmp_path / "snapshot/tekken.json").open("a") as file:
        file.write(" ")
    with pytest.raises(UnfitError, match=r"not in /not/there there, and someone/name@v1 has others"):
        weights(NOWHERE, contents(TINY))


def test_weights_that_are_nowhere_are_an_error_with_both_places(hub):
    hub[REPO] = ModelError("no such repository on the Hub")
    with pytest.raises(UnfitError, match=r"unquantized are not in /not/there there; no such repository"):
        weights(NOWHERE, contents(TINY))


def test_a_folder_with_other_weights_than_before_is_opened_again(tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    first = opened(folder, contents(folder))
    assert opened(folder, contents(folder)) is first
    with (folder / "tekken.json").open("a") as file:
        file.write(" ")
    assert opened(folder, contents(folder)) is not first

"""A proven view's weight files are used again, and only while all that proved them is the same."""

import errno
import os
from dataclasses import replace

import pytest
from artifacts import contents, make_artifact
from projects import make_project

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.convert import kept_views
from voxbuild.convert.kept_views import ProvenView, remember, reuse
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import MLX_AUDIO_LOADER
from voxbuild.workspace import Workspace

HEARD = {"few/a": "press five"}


@pytest.fixture
def view(tmp_path):
    """A view with made-up files, as if it was proven."""
    work = Workspace(make_project(tmp_path / "project", recipes=("4bit",), clips=1))
    book = read_book(work.recipes)
    view = Variant(work, book, book.source("tiny"), book.recipe("4bit"), MLX_AUDIO_LOADER)
    make_artifact(view.artifact.folder)
    make_artifact(view.folder)
    manifest = Manifest.load(view.folder)
    remember(view, Manifest.load(view.artifact.folder), ProvenView(dict(manifest.weight_files), 7, HEARD))
    return view


def reused(view, folder, heard=HEARD, artifact=None):
    folder.mkdir()
    return reuse(view, artifact or Manifest.load(view.artifact.folder), heard, folder)


def test_the_weight_files_are_linked_and_nothing_else(view, tmp_path):
    proven = reused(view, tmp_path / "new")
    weights = Manifest.load(view.folder).weight_files
    assert (proven.files, proven.tensors, proven.heard) == (weights, 7, HEARD)
    assert contents(tmp_path / "new") == {name: (view.folder / name).read_bytes() for name in weights}
    assert all((tmp_path / "new" / name).samefile(view.folder / name) for name in weights)


def test_they_are_copied_where_there_are_no_links(view, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert reused(view, tmp_path / "new")
    assert contents(tmp_path / "new").keys() == Manifest.load(view.folder).weight_files.keys()


def test_nothing_is_used_of_another_artifact_loader_version_or_transcript(view, tmp_path, monkeypatch):
    artifact = Manifest.load(view.artifact.folder)
    other = replace(artifact, files={n: e for n, e in artifact.files.items() if n != "model.safetensors"})
    loader = replace(view, loader=replace(MLX_AUDIO_LOADER, uniform=True))
    assert reused(view, tmp_path / "1", artifact=other) is None
    assert reused(loader, tmp_path / "2") is None
    assert reused(view, tmp_path / "3", heard={"few/a": "press nine"}) is None
    with monkeypatch.context() as patch:
        patch.setattr(kept_views, "tool_versions", lambda: {"mlx": "0"})
        assert reused(view, tmp_path / "4") is None
    assert reused(view, tmp_path / "5")
    (view.folder / "model.safetensors").write_bytes(b"damaged")
    assert reused(view, tmp_path / "6") is None
    (view.folder / "manifest.json").unlink()
    assert reused(view, tmp_path / "7") is None
    assert not any(any((tmp_path / name).iterdir()) for name in "123467")

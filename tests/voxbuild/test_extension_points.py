"""A mode, a search method, a source kind, a clip-set kind and a publish target are each one new piece."""

import json
import shutil

import numpy as np
import pytest
import yaml
from artifacts import make_artifact
from projects import make_project, use_random_source
from releases import make_releasable
from small_sources import ROOT

from voxbuild import stages
from voxbuild.artifact.bom import upstream
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.provenance import clip_dependencies, upstream_files
from voxbuild.artifact.variant import Variant
from voxbuild.plan.preview import show
from voxbuild.publish.order import Order
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.targets import TARGETS
from voxbuild.publish.upload import publish
from voxbuild.publish.verify import verify
from voxbuild.recipes.book import read_book
from voxbuild.recipes.origins.base import Clip, Corpus, Origin
from voxbuild.recipes.schema import Strict, load
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.sources.clips import read_clips
from voxbuild.sources.fetch import fetch
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.methods import METHODS, Method
from voxbuild.tensors.modes import MODES, Mode
from voxbuild.tensors.quantize import quantize_rows
from voxbuild.workspace import Workspace


@pytest.fixture
def convert(tmp_path):
    """Convert a small random model with this `quantize:`; its plan in words and its folder."""

    def run(quantize):
        project = make_project(
            tmp_path / f"project{len(list(tmp_path.iterdir()))}", recipes=("4bit",), clips=1
        )
        use_random_source(project)
        path = project / "recipes/4bit.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"quantize": quantize}))
        work = Workspace(project)
        book = read_book(work.recipes)
        variant = Variant(work, book, book.source("tiny"), book.recipe("4bit"))
        stages.fetch(work, variant.source)
        stages.write_plan(variant)
        stages.convert(variant)
        return show([(variant.recipe, variant.source)], work, "table", True), variant.folder

    return run


def test_a_mode_is_a_row(convert, monkeypatch):
    monkeypatch.setitem(MODES, "wide", Mode((4,), (64,), None, has_biases=True, kernel="affine"))
    plan, folder = convert({"mode": "wide", "bits": 4, "group_size": 64})
    assert "wide 4 bit / 64" in plan
    assert "transformers cannot read it" in plan
    expected = (folder / "model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_text())["quantization"]
    assert (config["mode"], config["bits"], config["group_size"]) == ("wide", 4, 64)
    _, affine = convert({"bits": 4, "group_size": 64})
    assert (affine / "model.safetensors").read_bytes() == expected


def test_a_search_method_is_a_function_and_a_row(convert, monkeypatch):
    def of_half(rows, dtype, how, moments):
        return quantize_rows(rows, dtype, how) | {
            "weight": np.zeros((len(rows), rows.shape[1] // 8), np.uint32)
        }

    monkeypatch.setitem(METHODS, "half", Method(of_half))
    plan, folder = convert({"bits": 4, "group_size": 64, "search": "half"})
    assert "affine 4 bit / 64, half" in plan
    with Checkpoint(folder / "model.safetensors") as file:
        packed = [tensor for tensor in file.tensors.values() if tensor.dtype == "U32"]
        assert packed
        assert all(not any(data) for tensor in packed for _, data in file.rows(tensor, 2**20))


class Shelf(Strict, Origin):
    """A source kind: a numbered folder of a shelf."""

    shelf: str
    number: int

    @property
    def identity(self):
        return {"shelf": self.shelf, "number": str(self.number)}

    @classmethod
    def of(cls, identity):
        return cls(shelf=identity["shelf"], number=int(identity["number"])) if "shelf" in identity else None

    def fetch(self, base, names):
        return base / self.shelf / str(self.number)

    def file(self, base, name):
        return self.fetch(base, [name]) / name

    cached = file

    def read(self, name, first, count):
        raise AssertionError("all files are here")

    def repository(self):
        return {"uri": f"shelf:{self.shelf}", "digest": {"sha1": str(self.number)}}

    def component(self, model):
        return {"name": f"{self.shelf} {self.number}"}


class ShelvedSource(Source):
    """The same with its field."""

    shelved: Shelf | None = None


def test_a_source_kind_is_a_class_and_a_field(tmp_path):
    text = (ROOT / "recipes/sources/tiny.yaml").read_text().replace("path: ../../tiny/checkpoint\n", "")
    (tmp_path / "tiny.yaml").write_text(text + "shelved: {shelf: models, number: 7}\n")
    shutil.copytree(ROOT / "tiny/checkpoint", tmp_path / "models/7")
    source = load(tmp_path / "tiny.yaml", ShelvedSource)
    fetched = fetch(source, tmp_path, lambda done: None)
    assert fetched.folder == tmp_path / "models/7"
    manifest = Manifest.load(make_artifact(tmp_path / "a", source=source.origin.identity | {"name": "tiny"}))
    assert upstream_files(manifest) == [{"name": "tiny", "uri": "shelf:models", "digest": {"sha1": "7"}}]
    assert upstream(source, {})[0]["name"] == "models 7"
    (tmp_path / "tiny.yaml").write_text(text)
    with pytest.raises(Exception, match="needs exactly one of `hub:` or `path:` or `shelved:`"):
        load(tmp_path / "tiny.yaml", ShelvedSource)


class Tape(Strict, Corpus):
    """A clip-set kind: one recording."""

    file: str
    says: str

    @property
    def recordings(self):
        return ("tape", self.file)

    def clips(self, name, base):
        return [Clip(f"{name}/tape", base / self.file, self.says)]

    def pinned(self):
        return {"uri": f"tape:{self.file}", "digest": {"sha256": "0" * 64}}


class TapedSet(ClipSet):
    """The same with its field."""

    tape: Tape | None = None


def test_a_clip_set_kind_is_a_class_and_a_field(tmp_path):
    text = "name: a\nsummary: b\nlanguage: en\nlicense: mit\nattribution: c\n"
    (tmp_path / "a.yaml").write_text(text + "tape: {file: x.flac, says: hello}\n")
    clips = load(tmp_path / "a.yaml", TapedSet)
    assert read_clips(clips, tmp_path) == [Clip("a/tape", tmp_path / "x.flac", "hello")]
    assert clip_dependencies(clips, {}) == [{"name": "clips/a", **clips.corpus.pinned()}]
    assert clips.corpus.dataset() is None


def test_a_publish_target_is_a_class_and_a_row(tmp_path, monkeypatch, capsys):
    class Cellar(LocalRegistry):
        def publish(self, release, destination, say):
            return f"cellar {super().publish(release, destination, say)}"

    monkeypatch.setitem(TARGETS, "cellar", lambda work: Cellar(work.root / "cellar"))
    work = make_releasable(tmp_path / "project")
    book = read_book(work.recipes)
    order = Order("4bit", target="cellar")
    publish(work, book, order)
    assert "published cellar someone/" in capsys.readouterr().out
    verify(work, book, order)
    assert "the same as" in capsys.readouterr().out

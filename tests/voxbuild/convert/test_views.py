"""Views hold the artifact's tensors, appear completely or not at all, and are rebuilt when needed."""

import errno
import json
import shutil

import numpy as np
import pytest
from artifacts import contents
from cards import make_sibling
from projects import FAILED, copy_project, doit, edit, executed, make_project, skipped, use_random_source

from voxbuild import stages
from voxbuild.artifact.manifest import Manifest, file_entry
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import write_record
from voxbuild.convert import views
from voxbuild.convert.views import check_view, small_files, write_view
from voxbuild.errors import ValidationError, VoxbuildError
from voxbuild.files import read_json
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS, MLX_AUDIO_LOADER, TRANSFORMERS_LOADER, views_of
from voxbuild.recipes.schema import UNITS
from voxbuild.tensors.writer import CheckpointWriter
from voxbuild.workspace import Workspace
from voxrun.checkpoint.tensors import Tensor
from voxrun.device import mx
from voxrun.model.load import load_model, read_folder

LOADERS_WITH_VIEWS = views_of(tuple(LOADERS))
MODES = {
    "none": "",
    "affine 4": "quantize: {bits: 4, group_size: 64}",
    "affine 3": "quantize: {bits: 3, group_size: 32}",
    "affine mixed": "quantize: {bits: 4, group_size: 64, rules: [{match: '*.q_proj', bits: 6}]}",
    "mxfp4": "quantize: {mode: mxfp4, bits: 4, group_size: 32}",
    "mxfp8": "quantize: {mode: mxfp8, bits: 8, group_size: 32}",
    "nvfp4": "quantize: {mode: nvfp4, bits: 4, group_size: 16}",
    "fp16": "dtype: float16",
    "fp32": "dtype: float32",
}
RECIPE = """\
name: any
summary: For tests.
source: tiny
{}
dialects: [{}]
shards: {{max_size: 2MB}}
validate:
  clips: [few]
  gates: {{wer: 75.0}}
publish:
  repo: someone/{{model}}-{{recipe}}
card: voxtral.md.j2
"""
PATH = "language_model.layers.1.attention.q_proj"

each_view = pytest.mark.parametrize("loader", LOADERS_WITH_VIEWS, ids=lambda loader: loader.name)


def project_of(folder, quantize="", dialects="", clips=1):
    project = make_project(folder, recipes=(), clips=clips)
    (project / "recipes/any.yaml").write_text(RECIPE.format(quantize, dialects))
    return project


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The unvalidated artifact of a mode over a small random model, in several shards; made once."""
    made = {}

    def make(mode):
        if mode not in made:
            project = project_of(tmp_path_factory.mktemp("project") / "p", MODES[mode])
            use_random_source(project)
            work = Workspace(project)
            book = read_book(work.recipes)
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(UNITS, "MB", 10**5)
                stages.fetch(work, book.source("tiny"))
                stages.convert(Variant(work, book, book.source("tiny"), book.recipe("any")))
            made[mode] = work.artifact("tiny", "any")
        return made[mode]

    return make


def write(loader, artifact, folder):
    folder.mkdir()
    done = []
    hashes = write_view(loader, artifact, folder, done.append)
    return hashes, sum(done)


@pytest.mark.slow
@each_view
@pytest.mark.parametrize("mode", MODES)
def test_any_view_of_any_mode_has_the_same_tensors(loader, mode, artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "CHUNK_BYTES", 2000)  # less than a head, at times
    folder = artifact(mode)
    hashes, written = write(loader, folder, tmp_path / "view")
    assert len(hashes) > 1
    assert hashes == {name: file_entry(tmp_path / "view" / name).sha256 for name in hashes}
    found, expected = read_folder(tmp_path / "view")[1], read_folder(folder)[1]
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert np.array_equal(_bits(found[name]), _bits(tensor)), name
    assert written == sum(tensor.nbytes for tensor in expected.values())
    assert check_view(loader, folder, tmp_path / "view", lambda done: None) == len(expected)
    assert load_model(tmp_path / "view").config.decoder == load_model(folder).config.decoder


def _bits(array):
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


@each_view
def test_names_layout_and_index_are_those_of_the_loader(loader, artifact, tmp_path):
    hashes, _ = write(loader, artifact("affine 4"), tmp_path / "view")
    index = read_json(tmp_path / "view/model.safetensors.index.json")
    assert set(index["weight_map"].values()) == hashes.keys()
    stored = {}
    for name in hashes:
        shard = mx.load(str(tmp_path / "view" / name))
        assert all(index["weight_map"][tensor] == name for tensor in shard)
        stored |= shard
    assert stored.keys() == index["weight_map"].keys()
    ours = read_folder(artifact("affine 4"))[1]
    for leaf in ("weight", "scales", "biases"):
        found = stored[f"{loader.dialect.native_module(PATH)}.{leaf}"]
        halves = loader.dialect.rotary_halves
        assert np.array_equal(_bits(found), _bits(ours[f"{PATH}.{leaf}"])) is not halves
    shape = stored[loader.dialect.native("encoder.conv1.weight")].shape
    assert (shape[1] == 3) is not loader.dialect.transposed_convolutions


@each_view
def test_a_view_has_the_same_bytes_every_time(loader, artifact, tmp_path):
    for name in ("one", "two"):
        write(loader, artifact("affine 4"), tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@each_view
def test_a_flipped_bit_is_found_and_named(loader, artifact, tmp_path):
    folder = artifact("affine 4")
    write(loader, folder, tmp_path / "view")
    path = sorted((tmp_path / "view").glob("*.safetensors"))[1]
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    with pytest.raises(ValidationError, match=rf"{path.name}: \S+ differs from the artifact's \S+$"):
        check_view(loader, folder, tmp_path / "view", lambda done: None)


def test_other_settings_of_quantization_are_found(artifact, tmp_path):
    folder = artifact("affine mixed")
    write(MLX_AUDIO_LOADER, folder, tmp_path / "view")
    config = read_json(tmp_path / "view/config.json")
    path = MLX_AUDIO_LOADER.dialect.native_module(PATH)
    assert config["quantization"][path] == {"bits": 6, "group_size": 64}
    del config["quantization"][path]
    (tmp_path / "view/config.json").write_text(json.dumps(config))
    with pytest.raises(ValidationError, match="not the sizes and the quantization"):
        check_view(MLX_AUDIO_LOADER, folder, tmp_path / "view", lambda done: None)


@each_view
def test_the_config_equals_what_the_loaders_tools_save(loader, root):
    params = read_json(root / "tiny/checkpoint/params.json")
    saved = read_json(root / f"tests/data/dialects/{loader.name}.json")
    files = small_files(loader, params)
    assert _leaves(files["config.json"]).items() <= _leaves(saved).items()
    assert files.keys() == {"config.json", *loader.files}


def test_the_processors_sizes_match_the_models(root):
    params = read_json(root / "tiny/checkpoint/params.json")
    processor = small_files(TRANSFORMERS_LOADER, params)["processor_config.json"]
    assert processor["feature_extractor"]["win_length"] == 400
    assert processor["feature_extractor"]["feature_size"] == 128


def _leaves(tree, path=""):
    if not isinstance(tree, dict):
        return {path: tree if not isinstance(tree, list) else tuple(tree)}
    return {k: v for key, value in tree.items() for k, v in _leaves(value, f"{path}.{key}").items()}


@pytest.fixture(scope="module")
def first_build(tmp_path_factory):
    """A project after `doit build` of an unquantized variant with two views. Change only copies of it."""
    project = project_of(tmp_path_factory.mktemp("views") / "p", dialects="voxmlx, mlx-audio, transformers")
    return project, doit(project, "build", "source=tiny")


@pytest.fixture
def built(first_build, tmp_path):
    return copy_project(first_build[0], tmp_path / "p")


def parts(project):
    work = Workspace(project)
    book = read_book(work.recipes)
    return work, book.source("tiny"), book.recipe("any"), book


@pytest.mark.slow
def test_a_build_makes_verified_views_beside_the_artifact(first_build):
    project, process = first_build
    assert process.returncode == 0, process.stdout
    artifact = Manifest.load(project / "out/tiny/any")
    for name in ("mlx-audio", "transformers"):
        folder = project / f"out/tiny/any.{name}"
        view = Manifest.load(folder)
        assert f"any.{name} over tiny: 94 tensors and 1 transcript(s) are equal" in process.stdout
        assert view.validated
        assert view.view == {"dialect": name, "artifact": artifact.weight_digest}
        assert view.files.keys() | {"manifest.json"} == contents(folder).keys()
        assert view.damaged(folder) == []
        heard = read_json(folder / "validation.json")["view"]["heard"]
        assert [*heard.values()] == [
            c["heard"] for c in read_json(folder / "validation.json")["clips"].values()
        ]
        assert (
            LOADERS[name].usage.format(repo=f"someone/Voxtral-Tiny-Prompts-any-{name}")
            in (folder / "README.md").read_text()
        )
    assert not (project / "out/tiny/any.voxmlx").exists()
    assert "view" not in read_json(project / "out/tiny/any/manifest.json")
    assert not list((project / "out/.partial").iterdir())


@pytest.mark.slow
def test_a_second_build_does_nothing_and_a_missing_file_is_made_again(first_build, tmp_path):
    again = doit(first_build[0], "build", "source=tiny")
    assert executed(again) == []
    assert "views:tiny:any" in skipped(again)
    built = copy_project(first_build[0], tmp_path / "p")
    before = contents(built / "out/tiny/any.transformers")
    (built / "out/tiny/any.transformers/README.md").unlink()
    process = doit(built, "views", "source=tiny")
    assert executed(process) == ["views:tiny:any"]
    assert contents(built / "out/tiny/any.transformers") == before
    shard = next(name for name in before if name.endswith(".safetensors"))
    (built / "out/tiny/any.transformers" / shard).write_bytes(before[shard][:-1] + b"?")
    assert executed(doit(built, "views", "source=tiny")) == ["views:tiny:any"]
    assert contents(built / "out/tiny/any.transformers") == before


@pytest.mark.slow
def test_a_views_card_shows_the_other_views_of_its_loader(built):
    others = [make_sibling("8bit", dialect="mlx-audio"), make_sibling("any", dialect="mlx-audio")]
    write_record(built / "model_cards/siblings/tiny.json", others)
    process = doit(built, "build", "recipe=any", "source=tiny")
    assert executed(process) == ["card:tiny:any", "views:tiny:any"], process.stdout
    folder = built / "out/tiny/any.mlx-audio"
    assert "**[any](https://huggingface.co/someone/Voxtral-Tiny-Prompts-any-mlx-audio)**" in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    assert "wer.png" in Manifest.load(folder).files
    for name in ("any", "any.transformers"):
        assert not (built / "out/tiny" / name / "wer.png").exists()
    assert executed(doit(built, "build", "recipe=any", "source=tiny")) == []
    (folder / "wer.png").unlink()
    assert executed(doit(built, "build", "recipe=any", "source=tiny")) == ["views:tiny:any"]


@pytest.mark.slow
def test_views_are_published_beside_the_artifact(built):
    process = doit(built, "publish", "recipe=any", "source=tiny", "tag=v9")
    assert process.returncode == 0, process.stdout
    names = ["any", "any-mlx-audio", "any-transformers"]
    assert sorted(path.name for path in (built / "out/registry").glob("[!.]*")) == [
        f"models--someone--Voxtral-Tiny-Prompts-{name}" for name in names
    ]
    assert doit(built, "publish", "tag=v9").stdout.count("already published") == 3


@pytest.mark.slow
def test_a_view_of_another_build_is_not_published(built):
    folder = built / "out/tiny/any.mlx-audio"
    manifest = read_json(folder / "manifest.json")
    manifest["view"]["artifact"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(built / "out/tiny/any.transformers")
    process = doit(built, "publish", "recipe=any", "source=tiny")
    assert process.returncode in FAILED
    assert "any.mlx-audio: the view is from another build of the artifact; run `doit" in process.stdout
    assert "any.transformers: the view is not built; run `doit build recipe=any" in process.stdout


@pytest.mark.slow
def test_an_impossible_dialect_is_refused_before_anything_is_built(tmp_path):
    project = project_of(tmp_path / "p", MODES["affine 4"], "mlx-audio")
    for task in ("plan", "build"):
        process = doit(project, task, "recipe=any", "source=tiny")
        assert process.returncode in FAILED
        assert (
            "any.yaml: dialects: mlx-audio cannot read it: language_model.layers.0.ada_norm" in process.stdout
        )
        assert "Traceback" not in process.stdout
    assert not (project / "out/tiny").exists()
    edit(project / "recipes/any.yaml", "dialects: [mlx-audio]", "dialects: []")
    assert "\nmlx-audio cannot read it: " in doit(project, "plan", "recipe=any", "source=tiny").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["broken", "interrupted"]
)
def test_a_failure_keeps_the_old_view_and_leaves_no_files(built, monkeypatch, error):
    work, source, recipe, book = parts(built)
    before = contents(work.artifact("tiny", "any.mlx-audio"))
    work.heard_file("tiny", "any.mlx-audio").unlink()  # so that the weights are written again
    writes, original = [], views.CheckpointWriter.write

    def failing(self, data):
        writes.append(data)
        if len(writes) > 20:
            raise error
        return original(self, data)

    monkeypatch.setattr(views.CheckpointWriter, "write", failing)
    with pytest.raises(type(error)):
        stages.make_views(Variant(work, book, source, recipe))
    assert contents(work.artifact("tiny", "any.mlx-audio")) == before
    shutil.rmtree(work.artifact("tiny", "any.mlx-audio"))
    writes.clear()
    with pytest.raises(type(error)):
        stages.make_views(Variant(work, book, source, recipe))
    assert not work.artifact("tiny", "any.mlx-audio").exists()
    assert not list((work.out / ".partial").iterdir())


@pytest.mark.slow
def test_a_view_with_another_transcript_is_refused(built):
    work, source, recipe, book = parts(built)
    path = work.artifact("tiny", "any") / "validation.json"
    validation = read_json(path)
    next(iter(validation["clips"].values()))["heard"] = "something else"
    path.write_text(json.dumps(validation))
    shutil.rmtree(work.artifact("tiny", "any.mlx-audio"))
    with pytest.raises(ValidationError, match=r"the view hears '.*', the artifact 'something else'"):
        stages.make_views(Variant(work, book, source, recipe))
    assert not work.artifact("tiny", "any.mlx-audio").exists()


@pytest.mark.slow
def test_an_unvalidated_artifact_gets_no_view(built):
    work, source, recipe, book = parts(built)
    Manifest.load(work.artifact("tiny", "any")).unvalidated().save(work.artifact("tiny", "any"))
    with pytest.raises(ValidationError, match="not validated, or changed since"):
        stages.make_views(Variant(work, book, source, recipe))


def test_an_unknown_loader_is_one_sentence(artifact, tmp_path):
    folder = shutil.copytree(artifact("none"), tmp_path / "odd")
    config = read_json(folder / "config.json")
    writer = CheckpointWriter(folder / "consolidated.safetensors", [Tensor("odd.weight", "U8", (1,))])
    writer.write(b"x")
    writer.finish()
    (tmp_path / "view").mkdir()
    with pytest.raises(ValidationError, match=r"'odd\.weight': not part of a model for mlx-audio"):
        write_view(MLX_AUDIO_LOADER, folder, tmp_path / "view", lambda done: None)
    config["quantization"] = {"bits": 4, "group_size": 64, "no.such.module": {"bits": 6, "group_size": 64}}
    with pytest.raises(ValidationError, match=r"'no\.such\.module': not part of a model"):
        small_files(MLX_AUDIO_LOADER, config)


@pytest.mark.slow
def test_an_artifact_with_foreign_files_gets_no_view(built):
    work, source, recipe, book = parts(built)
    (work.artifact("tiny", "any") / "consolidated.safetensors").write_bytes(b"seen instead")
    with pytest.raises(VoxbuildError, match=r"not in its manifest: 'consolidated\.safetensors'"):
        stages.make_views(Variant(work, book, source, recipe))


@pytest.mark.slow
def test_an_edited_manifest_of_a_view_is_made_again_and_not_published(built):
    path = built / "out/tiny/any.mlx-audio/manifest.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"device": "cpu"', b'"device": "gpu"'))
    process = doit(built, "publish", "recipe=any", "source=tiny")
    assert process.returncode in FAILED
    assert "the view is from another build of the artifact" in process.stdout
    assert executed(doit(built, "build", "recipe=any", "source=tiny")) == ["views:tiny:any"]
    assert path.read_bytes() == before

"""Calibration: exact second moments, equal every time; its clips determine the artifact and are recorded."""

import numpy as np
import pytest
from projects import HEARD, doit, edit, executed, make_project, skipped
from small_sources import header_of, params_of, unusable_model

from voxbuild import stages
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.calibrate.diagonal import mean_squares, observe
from voxbuild.convert.calibrated import check_moments
from voxbuild.errors import ConvertError
from voxbuild.files import read_json
from voxbuild.plan.planner import make_plan
from voxbuild.plan.preview import show
from voxbuild.recipes.book import read_book
from voxbuild.recipes.quantization import Quantize, Rule
from voxbuild.sources.clips import read_clips
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.moments import load_moments, save_moments
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of
from voxrun.model.cpu.layers import round_as_before
from voxrun.model.decoder import Gains
from voxrun.transcriber import Transcriber


@pytest.fixture(scope="module")
def clips(root):
    book = read_book(root / "recipes")
    members = read_clips(book.clips["calibration"], root / "recipes/clips")
    return sorted(members, key=lambda clip: clip.path.stat().st_size)[:2]


@pytest.fixture(scope="module")
def moments(tiny, clips):
    return mean_squares(tiny, [clip.path for clip in clips], lambda: None)


def test_a_source_without_finite_results_is_not_calibrated(tmp_path, clips):
    broken = unusable_model(tmp_path / "model")
    with pytest.raises(
        ConvertError, match="the unquantized source is not usable: it gives no finite inputs to"
    ):
        mean_squares(broken, [clips[0].path], lambda: None)


def weighed(book, **changes):
    """A plan that searches with activations, over a small random model."""
    quantize = Quantize(bits=4, group_size=64, search="activation", **changes)
    params = params_of()
    return make_plan(book.recipe("4bit").model_copy(update={"quantize": quantize}), header_of(params), params)


def test_every_quantized_matrix_has_moments(root, tiny, moments):
    book = read_book(root / "recipes")
    params = read_json(tiny / "params.json")
    quantize = Quantize(bits=4, group_size=32, search="activation")
    recipe = book.recipe("4bit").model_copy(update={"quantize": quantize})
    with Checkpoint(tiny / "consolidated.safetensors") as checkpoint:
        plan = make_plan(recipe, checkpoint.tensors.values(), params)
    check_moments(plan, moments)
    modules = {t.module for t in plan.tensors if t.quantization}
    assert modules <= moments.keys()
    assert all((values > 0).all() for values in moments.values())


def test_inputs_after_a_norm_have_its_moments(tiny, moments):
    """A norm's output, its gain divided out, has a mean square of 1; who reads the same hears the same."""
    layers = Transcriber.open(tiny).model.encoder.layers
    for number, layer in enumerate(layers):
        path = f"encoder.layers.{number}"
        for norm, readers in (
            (layer.attn_norm, ("attention.q_proj", "attention.k_proj", "attention.v_proj")),
            (layer.ffn_norm, ("mlp.gate_proj", "mlp.up_proj")),
        ):
            gain = np.array(norm.weight, np.float64)
            first = moments[f"{path}.{readers[0]}"]
            assert (first / gain**2).mean() == pytest.approx(1, abs=0.01)
            assert all(np.array_equal(moments[f"{path}.{reader}"], first) for reader in readers)


def test_columns_of_the_embedding_have_equal_weight(moments):
    assert set(moments["language_model.embed_tokens"]) == {1.0}


def test_a_norm_and_a_gain_are_rounded_one_after_the_other_as_ever(tiny):
    """Or the bytes of weights that were searched with activations would change."""
    model = Transcriber.open(tiny).model
    round_as_before(model)
    audio = np.random.default_rng(0).normal(size=(1, 3, model.config.decoder.dim)).astype(np.float32)
    gains = model.gains(6)
    found, wanted = (
        np.array(model.decode([1, 2, 3], audio, each, model.decoder_caches()))
        for each in (gains, Gains(gains))
    )
    assert np.array_equal(found, wanted)


@pytest.mark.slow
def test_calibration_does_not_change_transcripts(tiny, clips):
    watched, plain = Transcriber.open(tiny), Transcriber.open(tiny)
    observe(watched.model)
    for clip in clips:
        assert watched.transcribe(clip.path).tokens == plain.transcribe(clip.path).tokens


def test_the_same_clips_give_the_same_bytes_and_others_give_others(tiny, clips, moments, tmp_path):
    first = save_moments(tmp_path / "a", moments)
    assert (
        save_moments(tmp_path / "b", mean_squares(tiny, [clip.path for clip in clips], lambda: None)) == first
    )
    assert save_moments(tmp_path / "c", mean_squares(tiny, [clips[0].path], lambda: None)) != first
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b") == first


def test_moments_are_read_back_unchanged(moments, tmp_path):
    save_moments(tmp_path / "new/a", moments)
    again = load_moments(tmp_path / "new/a")
    assert again.keys() == moments.keys()
    assert all(np.array_equal(again[path], values) for path, values in moments.items())


@pytest.mark.parametrize("wrong", [None, np.ones(3, np.float32), np.full(128, np.nan, np.float32)])
def test_a_matrix_without_moments_is_named(root, wrong):
    plan = weighed(read_book(root / "recipes"))
    known = {t.module: np.ones(t.shape[1], np.float32) for t in plan.tensors if t.quantization}
    check_moments(plan, known)
    path = "language_model.layers.1.attention.q_proj"
    known = {m: v for m, v in known.items() if m != path} | ({} if wrong is None else {path: wrong})
    with pytest.raises(ConvertError, match=rf"^{path}: the calibration has no usable moments of its 128"):
        check_moments(plan, known)
    without = (Rule(match=path, search="mse"),)
    check_moments(weighed(read_book(root / "recipes"), rules=without), known)


def project_that_calibrates(folder, root, clips, recipes=("4bit",)):
    """A project whose first recipe searches with activations, over the shortest calibration clip."""
    make_project(folder, recipes, clips=1)
    edit(folder / "recipes/4bit.yaml", "size: 64}", "size: 64, search: activation}\ncalibrate: heard")
    (folder / "recipes/clips/heard.yaml").write_text(HEARD)
    hear(folder, clips[0])
    return folder


def hear(project, clip):
    """Calibrate with this clip."""
    (project / "heard").mkdir(exist_ok=True)
    (project / "heard/a.flac").write_bytes(clip.path.read_bytes())
    (project / "heard/transcripts.tsv").write_text(f"a.flac\t{clip.text}\n")


class Build:
    """One recipe of such a project, stage by stage."""

    def __init__(self, folder):
        self.work = Workspace(folder)
        self.book = read_book(self.work.recipes)
        self.source, self.recipe = self.book.source("tiny"), self.book.recipe("4bit")
        self.variant = Variant(self.work, self.book, self.source, self.recipe)
        stages.fetch(self.work, self.source)

    def plan(self):
        if self.recipe.calibrate:
            stages.calibrate(self.work, self.source, self.book.clips[self.recipe.calibrate])
        stages.write_plan(self.variant)
        return read_json(self.work.plan_file("tiny", "4bit"))

    def convert(self):
        return stages.convert(self.variant)["weights"]


@pytest.mark.slow
def test_the_calibration_clips_decide_the_bytes_and_are_recorded(tmp_path, root, clips):
    project = project_that_calibrates(tmp_path / "a", root, clips)
    build = Build(project)
    first, digest = build.plan(), build.convert()
    told = {"clips": "heard", "sha256": sha256_of(build.work.moments_file("tiny", "heard"))}
    assert first["calibration"] == told
    assert Manifest.load(build.work.artifact("tiny", "4bit")).recipe == {"name": "4bit", "calibration": told}
    assert (build.plan(), build.convert()) == (first, digest)
    hear(project, clips[1])
    assert build.plan()["calibration"]["sha256"] != told["sha256"]
    assert build.convert() != digest


@pytest.mark.slow
def test_the_search_changes_bytes_and_plan_but_not_the_config(tmp_path):
    seen = {}
    for search in ("none", "mse"):
        project = make_project(tmp_path / search, ("4bit",), clips=1)
        edit(project / "recipes/4bit.yaml", "size: 64}", f"size: 64, search: {search}}}")
        build = Build(project)
        decisive = build.plan()
        assert "calibration" not in decisive
        weights = build.convert()
        config = read_json(build.work.artifact("tiny", "4bit") / "config.json")["quantization"]
        assert config == {"bits": 4, "group_size": 64}
        table = show([(build.recipe, build.source)], build.work, "table", tensors=True)
        assert ("affine 4 bit / 64, mse" in table) == (search == "mse")
        seen[search] = decisive["plan"], weights
    assert seen["none"][0] != seen["mse"][0]
    assert seen["none"][1] != seen["mse"][1]


@pytest.mark.slow
def test_calibration_runs_for_recipes_that_need_it_and_when_clips_change(tmp_path, root, clips):
    project = project_that_calibrates(tmp_path / "a", root, clips, recipes=("4bit", "2bit"))
    process = doit(project, "convert:tiny:2bit")
    assert process.returncode == 0, process.stdout
    assert not any(name.startswith("calibrate") for name in executed(process) + skipped(process))
    assert "calibrate:tiny:heard" in executed(doit(project, "convert:tiny:4bit"))
    assert "calibrate:tiny:heard" in skipped(doit(project, "convert:tiny:4bit"))
    hear(project, clips[1])
    again = executed(doit(project, "convert:tiny:4bit"))
    assert again == ["calibrate:tiny:heard", "convert:tiny:4bit"]

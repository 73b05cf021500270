"""`search: gptq` from recordings to an artifact: with kept moments, in passing, sequential; reproduced."""

import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cards import TEMPLATES, make_subject
from projects import HEARD, edit, make_project

from voxbuild import stages
from voxbuild.artifact.lock import LOCK
from voxbuild.artifact.manifest import CARD, Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.card.check import check_card
from voxbuild.card.render import card_files
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_json
from voxbuild.plan import work as plan_work
from voxbuild.recipes.book import read_book
from voxbuild.sources.clips import read_clips
from voxbuild.tensors import feedback
from voxbuild.tensors.second_moments import SecondMoments, save_second_moments
from voxbuild.validate.reproduce import reproduce
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of
from voxrun.trust.manifest import Entry


def make_build(folder, root, sequential=False):
    """A project whose recipe 4bit is rounded with the moments over the shortest calibration clip."""
    project = make_project(folder, ("4bit",), clips=1)
    more = ", sequential: yes" if sequential else ""
    edit(project / "recipes/4bit.yaml", "size: 64}", f"size: 64, search: gptq{more}}}\ncalibrate: heard")
    (project / "recipes/clips/heard.yaml").write_text(HEARD)
    known = read_clips(read_book(root / "recipes").clips["calibration"], root / "recipes/clips")
    clip = min(known, key=lambda clip: clip.path.stat().st_size)
    (project / "heard").mkdir()
    (project / "heard/a.flac").write_bytes(clip.path.read_bytes())
    (project / "heard/transcripts.tsv").write_text(f"a.flac\t{clip.text}\n")
    work, book = Workspace(project), read_book(project / "recipes")
    variant = Variant(work, book, book.source("tiny"), book.recipe("4bit"))
    stages.fetch(work, variant.source)
    return SimpleNamespace(variant=variant, folder=variant.folder)


def calibrate(build):
    variant = build.variant
    stages.calibrate(variant.work, variant.source, variant.book.clips["heard"], "matrix")


def convert(build):
    stages.write_plan(build.variant)
    stages.convert(build.variant)
    return sha256_of(build.folder / "model.safetensors")


@pytest.fixture(scope="module")
def built(tmp_path_factory, root):
    build = make_build(tmp_path_factory.mktemp("kept") / "project", root)
    calibrate(build)
    build.weights = convert(build)
    return build


@pytest.mark.slow
def test_lock_and_manifest_say_what_was_heard(built):
    told = read_json(built.folder / LOCK)["recipe"]["calibration"]
    assert told == Manifest.load(built.folder).recipe["calibration"]
    assert told["sha256"] == sha256_of(built.variant.moments_file)
    assert told["recordings"] == 1
    assert 0.5 < told["seconds"] < 5


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_it_is_reproduced_by_any_number_of_workers_after_calibrating_again(
    built, monkeypatch, capsys, workers
):
    for module in ("voxrun.parallel", "voxbuild.convert.shards"):
        monkeypatch.setattr(f"{module}.cores", lambda: workers)
    kept = sha256_of(built.variant.moments_file)
    built.variant.moments_file.unlink()
    calibrate(built)
    assert sha256_of(built.variant.moments_file) == kept
    reproduce(built.variant)
    assert "DIFFERS" not in capsys.readouterr().out


@pytest.mark.slow
def test_moments_in_passing_give_the_same_bytes(built, tmp_path, root, monkeypatch, capsys):
    monkeypatch.setattr(plan_work, "KEPT", 0)
    monkeypatch.setattr("voxbuild.calibrate.whole.KEPT", 0)
    build = make_build(tmp_path / "project", root)
    calibrate(build)
    with SecondMoments(build.variant.moments_file) as file:
        assert not file.has("language_model.layers.0.attention.q_proj"), "nothing is kept"
    assert convert(build) == built.weights
    assert re.search(r"4bit over tiny: layer by layer: about .* s, .* GB of memory", capsys.readouterr().err)
    rounding = read_json(build.folder / LOCK)["rounding"]
    assert Manifest.load(build.folder).recipe["rounding"] == rounding
    assert re.fullmatch(r"[0-9a-f]{64}", rounding["moments"])
    assert list(build.variant.partial.parent.iterdir()) == [], "the walk's state is deleted"


@pytest.mark.slow
def test_a_sequential_artifact_promises_its_bytes_for_one_machine(built, tmp_path, root, monkeypatch, capsys):
    build = make_build(tmp_path / "project", root, sequential=True)
    calibrate(build)
    first = convert(build)
    assert first != built.weights
    manifest = Manifest.load(build.folder)
    assert manifest.recipe["rounding"]["reproducible"] == "on the same machine with the same BLAS"
    reproduce(build.variant)
    assert "promised" not in capsys.readouterr().out, "all files are the same here"
    towards = "voxbuild.convert.layerwise.towards"
    monkeypatch.setattr(towards, lambda moments, *rest: np.eye(len(moments), dtype=np.float32))
    reproduce(build.variant)
    assert re.search(
        "the same bytes are promised on the same machine with the same BLAS; source, recipe, calibration and"
        " tools are the same, the moments are others",
        capsys.readouterr().out,
    )


@pytest.mark.slow
def test_a_matrix_without_moments_is_told_everywhere(built, tmp_path, root, capsys):
    build = make_build(tmp_path / "project", root)
    with SecondMoments(built.variant.moments_file) as file:
        names = [name for name in file.names if name != "adapter.w_out"]
        save_second_moments(build.variant.moments_file, {name: file.of(name) for name in names}, file.heard)
    assert convert(build) != built.weights
    assert "4bit over tiny: rounded without moments: adapter.w_out (the calibration has none)" in (
        capsys.readouterr().err
    )
    told = {"without_moments": {"adapter.w_out": "the calibration has none"}}
    assert read_json(build.folder / LOCK)["rounding"].items() >= told.items()
    assert Manifest.load(build.folder).recipe["rounding"].items() >= told.items()


@pytest.mark.slow
def test_matrices_of_another_artifact_are_copied_if_it_is_intact(built, tmp_path, root, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(built.variant.work.root, project)
    text = (project / "recipes/4bit.yaml").read_text()
    other = text.replace("name: 4bit", "name: other").replace(
        "search: gptq", "search: gptq, rules: [{match: adapter.*, bits: 6}]"
    )
    (project / "recipes/other.yaml").write_text(other)
    read_book.cache_clear()
    work, book = Workspace(project), read_book(project / "recipes")
    build = SimpleNamespace(variant=Variant(work, book, book.source("tiny"), book.recipe("other")))
    build.folder = build.variant.folder
    rounded, original = [], feedback.round_rows

    def spy(rows, dtype, how, cost):
        rounded.append(how.bits)
        return original(rows, dtype, how, cost)

    monkeypatch.setattr(feedback, "round_rows", spy)
    copied = convert(build)
    assert set(rounded) == {6}, "all of 4 bits are copied"
    rounded.clear()
    reproduce(build.variant)
    assert set(rounded) == {4, 6}, "nothing is copied to reproduce"
    lock = project / "out/tiny/4bit/recipe.lock"
    text = lock.read_text()
    lock.write_text(text + " ")
    shutil.rmtree(build.folder)
    rounded.clear()
    assert convert(build) == copied
    assert set(rounded) == {4, 6}, "nor is anything taken if its lock was edited"
    lock.write_text(text)
    shard = project / "out/tiny/4bit/model.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    shutil.rmtree(build.folder)
    rounded.clear()
    assert convert(build) == copied
    assert set(rounded) == {4, 6}, "a damaged artifact gives nothing"


def test_the_card_says_what_was_heard_and_the_check_reads_it(tmp_path):
    """And a card that says otherwise is refused."""
    subject = make_subject("4bit")
    made = {
        "calibration": {"clips": "few", "sha256": "a" * 64, "recordings": 1300, "seconds": 46.25},
        "rounding": {"without_moments": {"adapter.w_in": "they are not finite"}, "reproducible": "here"},
    }
    subject.manifest.recipe.update(made)
    files = card_files(TEMPLATES, subject, ())
    manifest = replace(
        subject.manifest, files=subject.manifest.files | dict.fromkeys(files, Entry(1, "0" * 64))
    )
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    text = (tmp_path / CARD).read_text()
    assert re.search(r"\| calibrated over +\| few: 1,300 recordings, 46.2 s +\|", text)
    assert re.search(r"\| rounded without moments +\| adapter.w_in +\|", text)
    assert check_card(tmp_path, manifest, subject.validation) == []
    (tmp_path / CARD).write_text(text.replace("1,300 rec", "1,301 rec"))
    assert check_card(tmp_path, manifest, subject.validation)


@pytest.mark.parametrize(
    ("quantize", "message"),
    [
        ("search: mse, sequential: yes", "quantize.sequential: `sequential: yes` needs `search: gptq`"),
        (
            'search: gptq, rules: [{match: "*", search: activation}]',
            "`search: gptq` and `search: activation` need different moments; use one of them",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, quantize, message):
    project = make_project(tmp_path / "project", ("4bit",), clips=1)
    edit(project / "recipes/4bit.yaml", "size: 64}", f"size: 64, {quantize}}}\ncalibrate: heard")
    read_book.cache_clear()
    with pytest.raises(VoxbuildError, match=re.escape(message)):
        read_book(project / "recipes")

"""The tasks in real doit processes, in a project of two recipes and three short clips."""

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from artifacts import contents
from cards import make_sibling
from projects import (
    FAILED,
    copy_project,
    doit,
    edit,
    executed,
    make_project,
    skipped,
)

from voxbuild.artifact.manifest import Manifest
from voxbuild.card.siblings import read_record, write_record
from voxbuild.files import read_json, stamp, write_json
from voxbuild.tasks import up_to_date
from voxrun.files.hashes import sha256_of

pytestmark = pytest.mark.slow

FILES = {
    "README.md",
    "bom.cdx.json",
    "config.json",
    "manifest.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "provenance.json",
    "recipe.lock",
    "tekken.json",
    "validation.json",
}
DESCRIBING = ("card", "bom", "provenance", "manifest")


@pytest.fixture(scope="module")
def first_build(tmp_path_factory):
    """A project after `doit -n 2 build` and that process. Look at it; change only copies of it."""
    project = make_project(tmp_path_factory.mktemp("tasks") / "project")
    return project, doit(project, "-n", "2", "build", "source=tiny")


@pytest.fixture
def built(first_build, tmp_path):
    """A copy of what was built."""
    return copy_project(first_build[0], tmp_path / "project")


@pytest.fixture
def project(tmp_path):
    """A project in which nothing was built yet."""
    return make_project(tmp_path / "project")


def test_a_build_makes_all_files_of_an_artifact(first_build):
    folder = first_build[0] / "out/tiny/4bit"
    assert contents(folder).keys() == FILES
    manifest = Manifest.load(folder)
    assert manifest.validated
    assert manifest.files.keys() == FILES - {"manifest.json"}
    assert manifest.damaged(folder) == []
    assert read_json(folder / "validation.json")["passed"]
    assert not list((first_build[0] / "out/.partial").iterdir())


def test_a_variant_below_its_gates_fails_with_the_table_and_stays_unvalidated(first_build):
    project, process = first_build
    assert process.returncode in FAILED
    assert "validate:tiny:2bit: 2bit over tiny does not pass its gates" in process.stdout
    assert [line for line in process.stdout.splitlines() if "kl_mean" in line and "FAIL" in line]
    assert "Traceback" not in process.stdout
    folder = project / "out/tiny/2bit"
    assert contents(folder).keys() == FILES - {"README.md", "bom.cdx.json", "provenance.json"}
    assert not Manifest.load(folder).validated
    assert not read_json(folder / "validation.json")["passed"]


def test_a_second_build_does_nothing(first_build):
    process = doit(first_build[0], "build", "recipe=4bit")
    assert process.returncode == 0
    assert executed(process) == []
    stages = ["convert", "validate", *DESCRIBING]
    assert sorted(skipped(process)) == sorted(
        ["fetch:tiny", "reference:tiny:few", *(f"{s}:tiny:4bit" for s in stages)]
    )


def test_an_edited_recipe_is_converted_again_and_no_other(built):
    edit(built / "recipes/2bit.yaml", "bits: 2", "bits: 3")
    process = doit(built, "convert")
    assert executed(process) == ["convert:tiny:2bit"]
    assert "convert:tiny:4bit" in skipped(process)
    assert read_json(built / "out/tiny/2bit/config.json")["quantization"]["bits"] == 3


def test_an_edited_gate_is_checked_without_converting_again(built):
    edit(built / "recipes/4bit.yaml", "wer: 75.0", "wer: 74.0")
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode == 0
    assert set(executed(process)) == {f"{stage}:tiny:4bit" for stage in ("validate", *DESCRIBING)}
    folder = built / "out/tiny/4bit"
    assert read_json(folder / "validation.json")["gates"][0]["limit"] == 74.0
    assert Manifest.load(folder).validated
    assert Manifest.load(folder).damaged(folder) == []

    edit(built / "recipes/4bit.yaml", "kl_mean: 0.01", "kl_mean: 0.0")
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode in FAILED
    assert executed(process) == ["validate:tiny:4bit"]
    assert not Manifest.load(folder).validated, "what fails its gates now was once validated by others"


def test_a_flipped_byte_is_rebuilt_to_the_same_artifact(built):
    folder = built / "out/tiny/4bit"
    before = contents(folder)
    content = bytearray(before["model.safetensors"])
    content[len(content) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode == 0
    assert "convert:tiny:4bit" in executed(process)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_a_deleted_file_is_rebuilt(built, name):
    before = (built / "out/tiny/4bit/model.safetensors").read_bytes()
    (built / "out/tiny/4bit" / name).unlink()
    process = doit(built, "convert", "recipe=4bit")
    assert executed(process) == ["convert:tiny:4bit"]
    assert (built / "out/tiny/4bit" / name).is_file()
    assert (built / "out/tiny/4bit/model.safetensors").read_bytes() == before


def test_a_card_shows_the_recorded_variants(built):
    folder, record = built / "out/tiny/4bit", built / "model_cards/siblings/tiny.json"
    assert not (folder / "wer.png").exists()

    write_record(record, [make_sibling("8bit", 4.5, 8.0), make_sibling("4bit", 9.0, 99.0)])
    assert "0 tables of variant, not 1; " in doit(built, "publish", "recipe=4bit").stdout
    process = doit(built, "build", "recipe=4bit")
    assert executed(process) == ["card:tiny:4bit", "provenance:tiny:4bit", "manifest:tiny:4bit"], (
        process.stdout
    )
    assert "**[4bit](https://huggingface.co/someone/Voxtral-Tiny-Prompts-4bit)**" in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    manifest = Manifest.load(folder)
    assert manifest.files.keys() == (FILES | {"wer.png"}) - {"manifest.json"}
    assert manifest.damaged(folder) == []
    assert executed(doit(built, "build", "recipe=4bit")) == []
    assert "published someone/Voxtral-Tiny-Prompts-4bit" in doit(built, "publish", "recipe=4bit").stdout

    plot = (folder / "wer.png").read_bytes()
    for spoil in (lambda path: path.write_bytes(plot[:-1]), Path.unlink):
        spoil(folder / "wer.png")
        assert executed(doit(built, "build", "recipe=4bit")) == ["card:tiny:4bit"]
        assert (folder / "wer.png").read_bytes() == plot

    record.unlink()
    assert executed(doit(built, "build", "recipe=4bit")) == [
        "card:tiny:4bit",
        "provenance:tiny:4bit",
        "manifest:tiny:4bit",
    ]
    assert contents(folder).keys() == FILES
    assert Manifest.load(folder).files.keys() == FILES - {"manifest.json"}


def test_siblings_are_recorded_as_they_are_published(built):
    assert "tiny: nothing is published" in doit(built, "siblings", "source=tiny").stdout
    assert not (built / "model_cards/siblings").exists()
    doit(built, "publish", "tag=v9")
    process = doit(built, "siblings")
    assert process.returncode == 0, process.stdout
    assert "tiny: 1 on record in model_cards/siblings/tiny.json" in process.stdout
    (sibling,) = read_record(built / "model_cards/siblings/tiny.json")
    folder = built / "out/tiny/4bit"
    assert (sibling.recipe, sibling.tag) == ("4bit", "v9")
    assert sibling.digest == sha256_of(folder / "manifest.json")
    assert sibling.wer == read_json(folder / "validation.json")["total"]["wer"]["value"]

    doit(built, "yank", "recipe=4bit", "tag=v9", "reason=bad")
    before = (built / "model_cards/siblings/tiny.json").read_bytes()
    assert "nothing is published" in doit(built, "siblings", "source=tiny").stdout
    assert (built / "model_cards/siblings/tiny.json").read_bytes() == before


def test_a_card_with_other_numbers_than_were_measured_is_not_published(built):
    edit(built / "model_cards/voxtral.md.j2", "{{ wer_table }}", "{{ wer_table | replace('.', '.9') }}")
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode == 0
    assert executed(process) == ["card:tiny:4bit", "provenance:tiny:4bit", "manifest:tiny:4bit"]
    published = doit(built, "publish", "recipe=4bit")
    assert published.returncode in FAILED
    assert "the card differs from the measurements: README.md: few, WER %: " in published.stdout
    assert "Traceback" not in published.stdout
    assert not (built / "out/registry").exists()


def test_a_malformed_record_is_one_message(built):
    (built / "model_cards/siblings").mkdir()
    (built / "model_cards/siblings/tiny.json").write_text("[{}]")
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode == 3
    assert "tiny.json: cannot read the record of siblings" in process.stdout
    assert "Traceback" not in process.stdout


def test_validated_artifacts_are_published_and_voxrun_reads_them(built):
    refused = doit(built, "publish", "recipe=2bit")
    assert refused.returncode in FAILED
    assert "2bit: not validated" in refused.stdout
    assert not (built / "out/registry").exists()

    process = doit(built, "publish", "tag=v9")
    assert process.returncode == 0, process.stdout
    assert "4bit over tiny: published someone/Voxtral-Tiny-Prompts-4bit at v9" in process.stdout
    assert [path.name for path in (built / "out/registry").glob("[!.]*")] == [
        "models--someone--Voxtral-Tiny-Prompts-4bit"
    ]
    assert "already published" in doit(built, "publish", "tag=v9").stdout

    clip = next((built / "few").glob("*.flac"))
    heard = read_json(built / "out/tiny/4bit/validation.json")["clips"][f"few/{clip.stem}"]["heard"]
    arguments = ["--model", "someone/Voxtral-Tiny-Prompts-4bit", "--revision", "v9", "--audio", str(clip)]
    voxrun = subprocess.run(
        [sys.executable, "-m", "voxrun", "--registry", str(built / "out/registry"), *arguments],
        capture_output=True,
        text=True,
    )
    assert voxrun.returncode == 0, voxrun.stderr
    assert voxrun.stdout.strip() == heard

    doit(built, "yank", "recipe=4bit", "tag=v9", "reason=deaf")
    arguments = ["--model", "registry:Voxtral-Tiny-Prompts-4bit@v9", "--audio", str(clip)]
    voxrun = subprocess.run(
        [sys.executable, "-m", "voxrun", *arguments],
        cwd=built,
        capture_output=True,
        text=True,
    )
    assert voxrun.stdout.strip() == heard
    assert voxrun.stderr == "voxrun: someone/Voxtral-Tiny-Prompts-4bit at v9 was withdrawn: deaf\n"


def test_plan_and_table_show_planned_and_built_variants(first_build):
    project = first_build[0]
    plan = doit(project, "plan", "recipe=4bit", "--tensors").stdout
    manifest = Manifest.load(project / "out/tiny/4bit")
    row = next(line for line in plan.splitlines() if "| encoder.conv1.weight" in line)
    assert "whisper_encoder.conv_layers.0.conv.weight" in row
    assert "swap 1,2" in row
    assert f"in 1 shard(s), {manifest.bits_per_weight:.3f} bits per weight" in plan
    assert f"{manifest.parameters:,} parameters" in plan

    table = doit(project, "table").stdout
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.count("|") > 3}
    assert "pass" in rows["4bit"]
    assert f"{manifest.bits_per_weight:.2f}" in rows["4bit"]
    assert "FAIL" in rows["2bit"]


def test_the_list_and_the_matrix_are_complete(project):
    process = doit(project, "list")
    assert process.returncode == 0
    public = [
        "allocate",
        "bom",
        "build",
        "calibrate",
        "card",
        "compatibility",
        "convert",
        "diff",
        "evaluate",
        "fetch",
        "history",
        "manifest",
        "matrix",
        "measure",
        "parity",
        "plan",
        "provenance",
        "publish",
        "recipes",
        "reference",
        "registry",
        "reproduce",
        "siblings",
        "sign",
        "table",
        "validate",
        "verify",
        "views",
        "yank",
    ]
    lines = [line.split(maxsplit=1) for line in process.stdout.splitlines()]
    assert [line[0] for line in lines] == public
    assert all(len(line) == 2 and len(line[1]) > 10 for line in lines)
    rows = json.loads(doit(project, "matrix").stdout)["include"]
    assert rows == [{"recipe": "2bit", "experimental": False}, {"recipe": "4bit", "experimental": False}]


def test_a_list_selects_its_recipes(built):
    shutil.copy(built / "recipes/2bit.yaml", built / "recipes/8bit.yaml")
    edit(built / "recipes/8bit.yaml", "name: 2bit", "name: 8bit")
    chosen = "recipe=8bit,4bit,8bit"
    for command in ("build", "publish", "verify", "sign", "reproduce"):
        listed = doit(built, "list", "--all", "-q", command, chosen)
        assert set(listed.stdout.split()) == {command, f"{command}:4bit", f"{command}:8bit"}
    assert "plan:tiny:8bit" in doit(built, "explain", chosen).stdout
    plans = json.loads(doit(built, "plan", chosen, "--format", "json").stdout)
    assert [plan["recipe"] for plan in plans] == ["8bit", "4bit"]
    table = doit(built, "table", "recipe=4bit,2bit").stdout
    assert [line.split("|")[1].strip() for line in table.splitlines() if "bit " in line][-2:] == [
        "4bit",
        "2bit",
    ]


def test_an_unknown_target_is_reported(built):
    process = doit(built, "publish", "recipe=4bit", "target=moon")
    assert process.returncode == 3
    assert "unknown target moon; known: registry, hub" in process.stdout


def test_a_corrected_transcript_is_scored_again(built):
    transcripts = built / "few/transcripts.tsv"
    transcripts.write_text(transcripts.read_text().replace("\n", " indeed\n"))
    process = doit(built, "build", "recipe=4bit")
    assert "validate:tiny:4bit" in executed(process)
    validation = read_json(built / "out/tiny/4bit/validation.json")
    assert all(clip["reference"].endswith(" indeed") for clip in validation["clips"].values())


def test_a_clip_sets_new_licence_reaches_the_card(built):
    edit(built / "recipes/clips/few.yaml", "CC-BY-SA-3.0", "CC0-1.0")
    assert doit(built, "build", "recipe=4bit").returncode == 0
    assert "Licence CC0-1.0" in (built / "out/tiny/4bit/README.md").read_text()
    assert doit(built, "publish", "recipe=4bit").returncode == 0


@pytest.mark.parametrize("name", ["README.md", "validation.json"])
def test_an_edited_document_is_written_again(built, name):
    path = built / "out/tiny/4bit" / name
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    assert doit(built, "build", "recipe=4bit").returncode == 0
    assert path.read_bytes() == before
    assert Manifest.load(path.parent).damaged(path.parent) == []


@pytest.mark.parametrize(
    ("edited", "made_again"),
    [
        ({"device": "gpu"}, "convert"),
        ({"tools": {"voxbuild": "0.0.1"}}, "convert"),
        ({"parameters": 1}, "convert"),
        ({"files": {}}, "manifest"),
    ],
    ids=lambda value: "".join(value),
)
def test_an_edited_manifest_is_written_again(built, edited, made_again):
    path = built / "out/tiny/4bit/manifest.json"
    before, stored = path.read_bytes(), read_json(path)
    if "files" in edited:  # of what is written about the weights
        edited = {"files": stored["files"] | {"README.md": stored["files"]["bom.cdx.json"]}}
    write_json(path, stored | edited)
    process = doit(built, "build", "recipe=4bit")
    assert process.returncode == 0, process.stdout
    assert executed(process)[0] == f"{made_again}:tiny:4bit"
    assert path.read_bytes() == before


def test_a_stricter_gate_makes_the_table_stale_and_prevents_publishing(built):
    edit(built / "recipes/4bit.yaml", "wer: 75.0", "wer: 74.0")
    assert "stale" in doit(built, "table", "recipe=4bit").stdout
    process = doit(built, "publish", "recipe=4bit")
    assert process.returncode in FAILED
    assert "the recipe has changed since it was built" in process.stdout


def test_touched_files_are_hashed_once(built, monkeypatch):
    (built / "out/tiny/4bit/model.safetensors").touch()
    assert executed(doit(built, "convert:tiny:4bit")) == []
    stamps = read_json(built / "out/.state/tiny/4bit.stamps.json")
    assert stamps["model.safetensors"] == stamp(built / "out/tiny/4bit/model.safetensors")
    monkeypatch.chdir(built)
    monkeypatch.setattr(Manifest, "damaged", lambda *_: pytest.fail("hashed again"))
    task = SimpleNamespace(value_savers=[], meta=None)
    facts = sha256(Manifest.load(built / "out/tiny/4bit").as_converted.text.encode()).hexdigest()
    values = {"stamps": {"as it was": [1]}, "facts": facts}
    assert up_to_date.weights_untouched(task, values, "out/tiny/4bit")


def test_state_files_damaged_by_a_crash_are_rewritten(built):
    for name in ("source.json", "4bit.plan.json"):
        (built / "out/.state/tiny" / name).write_text("")
    process = doit(built, "convert:tiny:4bit")
    assert process.returncode == 0, process.stdout
    assert executed(process) == ["fetch:tiny"], "the weights are what they were"
    assert read_json(built / "out/.state/tiny/4bit.plan.json")["tools"]

"""`doit build fetch=stream`: the artifact of a source on the Hub whose weights never lie on the disk."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from hub_server import TOKEN, serving
from patience import PATIENCE, until
from projects import FAILED, HEARD, doit, doit_command, edit, executed, make_project
from small_sources import header_of, params_of, write_checkpoint

from voxbuild.artifact.manifest import Manifest
from voxbuild.errors import SourceError
from voxbuild.plan import preview, streaming
from voxbuild.recipes.book import read_book
from voxbuild.sources.header import Header
from voxbuild.workspace import Workspace

pytestmark = pytest.mark.slow
IMPATIENT = """\
from voxbuild.convert import shards
from voxbuild.recipes.origins import remote
shards.RECORD_BYTES, remote.DELAYS = 2**20, (0.0, 0.1)
"""
REPO, WEIGHTS = "someone/voice", "consolidated.safetensors"


@pytest.fixture(scope="module")
def tiny(root):
    """The embedded model's files."""
    return {path.name: path.read_bytes() for path in (root / "tiny/checkpoint").iterdir()}


def put_on(hub, project, files):
    """Put a source `hub` on the Hub, by signed URLs, with the description of the embedded one."""
    commit = hub.add("models", REPO, files)
    hub.signed = 0
    text = (project / "recipes/sources/tiny.yaml").read_text()
    text = text.replace("name: tiny", "name: hub", 1).replace(
        "path: ../../tiny/checkpoint", f"hub: {{repo: {REPO}, revision: {commit}}}"
    )
    (project / "recipes/sources/hub.yaml").write_text(text)
    return commit


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny):
    """A project whose 4 bits were built from the disk, and the Hub that has the same source; not changed."""
    folder = tmp_path_factory.mktemp("made")
    project = make_project(folder / "project", recipes=("4bit", "8bit"), clips=1)
    with serving(folder / "hub") as hub:
        commit = put_on(hub, project, tiny)
        assert doit(project, "build", "recipe=4bit", "source=tiny").returncode == 0
        yield project, hub, commit


@pytest.fixture
def project(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "project", symlinks=True)


@pytest.fixture
def hub(made):
    hub = made[1]
    hub.sent.clear()
    hub.calls.clear()
    hub.seen_elsewhere.clear()
    yield hub
    hub.faults.clear()


@pytest.fixture
def environment(hub, tmp_path):
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}


@pytest.fixture
def streamed(project, environment):
    """Run doit over the source on the Hub."""

    def run(*arguments, recipe="4bit", fetch="stream"):
        return doit(project, *arguments, f"recipe={recipe}", "source=hub", f"fetch={fetch}", **environment)

    return run


def weights_of(project, source, recipe="4bit"):
    return (project / f"out/{source}/{recipe}/model.safetensors").read_bytes()


def heard_elsewhere(project, source):
    validation = json.loads((project / f"out/{source}/4bit/validation.json").read_text())
    return validation["unquantized"].get("heard_elsewhere", False)


def sent_of_weights(hub, tiny):
    return sum(count for path, count in hub.sent.items() if count > len(tiny["tekken.json"]))


def test_it_is_converted_and_then_says_what_validation_lacks(project, hub, streamed, tiny, tmp_path):
    first = streamed("build")
    assert first.returncode in FAILED
    stages = executed(first)
    assert stages[0] == "fetch:hub"
    assert sorted(stages[1:]) == ["convert:hub:4bit", "reference:hub:few"], "in either order"
    ends_with = "failed, see above: reference:hub:few\n"
    assert first.stdout.endswith(ends_with) == (stages[-1] != "reference:hub:few")
    (said,) = re.findall("!! reference.*", first.stdout)
    assert "1 of 1 clips were not heard: the source hub was streamed" in said
    assert "fetch=disk" in said
    assert "copy out/.state/hub/heard from a machine" in said
    assert weights_of(project, "hub") == weights_of(project, "tiny")
    assert not Manifest.load(project / "out/hub/4bit").validated
    here, theirs = (json.loads((project / f"out/{s}/4bit/recipe.lock").read_text()) for s in ("hub", "tiny"))
    assert here["tensors"] == theirs["tensors"]
    assert here["source"]["files"] == theirs["source"]["files"]
    assert not [p for p in (tmp_path / "hf").rglob("*") if p.stat().st_size > len(tiny["tekken.json"])]
    assert len(tiny[WEIGHTS]) <= sent_of_weights(hub, tiny) < 1.05 * len(tiny[WEIGHTS])
    assert hub.seen_elsewhere == []

    shutil.copytree(project / "out/.state/tiny/heard", project / "out/.state/hub/heard")
    for name in list((project / "out/.state/hub/heard").iterdir()):  # as from another machine
        if name.name != ".lock" and name.is_file():
            place = name.with_name(name.name.rpartition("-")[0] + "-" + "0" * 32 + name.suffix)
            name.rename(place)
        elif name.is_dir():
            name.rename(name.with_name(name.name.rpartition("-")[0] + "-" + "0" * 32))
    hub.sent.clear()
    second = streamed("build", fetch="auto")
    assert second.returncode == 0, second.stdout
    assert "it heard the clips with other versions or on another device" in second.stdout
    assert "convert:hub:4bit" not in executed(second)
    assert Manifest.load(project / "out/hub/4bit").validated
    assert heard_elsewhere(project, "hub")
    assert not heard_elsewhere(project, "tiny")
    assert sent_of_weights(hub, tiny) == 0

    third = streamed("build", fetch="disk")
    assert third.returncode == 0
    assert executed(third)[0] == "fetch:hub"
    assert "convert:hub:4bit" not in executed(third)
    assert sent_of_weights(hub, tiny) == len(tiny[WEIGHTS])


def test_transcripts_of_another_source_or_damaged_ones_are_not_used(project, streamed):
    assert streamed("convert").returncode == 0
    heard = shutil.copytree(project / "out/.state/tiny/heard", project / "out/.state/hub/heard")
    for path in heard.rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:-1])
    assert "1 of 1 clips were not heard" in streamed("reference").stdout


def test_several_recipes_are_converted_in_one_read(project, hub, streamed, tiny):
    assert streamed("convert", recipe="4bit,8bit").returncode == 0
    assert sent_of_weights(hub, tiny) < 1.05 * len(tiny[WEIGHTS])
    assert weights_of(project, "hub") == weights_of(project, "tiny")


def test_a_wrong_byte_reaches_no_artifact_and_is_not_continued(project, hub, streamed, tiny):
    hub.corrupt("GET /blobs/321077", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    process = streamed("convert")
    assert process.returncode in FAILED
    assert f"hub/{WEIGHTS}: sha256 " in process.stdout
    assert not (project / "out/hub").exists()
    assert not list((project / "out/.partial").glob("*.journal.json"))
    hub.faults.clear()
    assert streamed("convert").returncode == 0
    assert weights_of(project, "hub") == weights_of(project, "tiny")


def test_a_hash_that_is_not_the_pinned_one_is_refused_before_anything_is_downloaded(project, hub, streamed):
    edit(project / "recipes/sources/hub.yaml", "sha256: 321077", "sha256: 421077")
    said = streamed("convert").stdout
    assert "the Hub has a file of the sha256 321077" in said
    assert not any(hub.sent.values())


def test_a_recipe_that_calibrates_is_refused_before_anything_is_downloaded(project, hub, streamed):
    edit(project / "recipes/8bit.yaml", "group_size: 64", "group_size: 64, search: activation")
    edit(project / "recipes/8bit.yaml", "validate:", "calibrate: heard\nvalidate:")
    (project / "recipes/clips/heard.yaml").write_text(HEARD)
    (project / "heard").mkdir()
    said = streamed("build", recipe="8bit,4bit").stdout
    assert "fetch=stream: 8bit measures with the whole source" in said
    assert "fetch=disk" in said
    assert not any(hub.sent.values())


def test_what_needs_the_source_on_the_disk_says_so(streamed):
    assert streamed("convert").returncode == 0
    said = streamed("evaluate", "delays=480", "clips=few").stdout
    assert "clips were not heard: the source hub was streamed" in said
    assert "Traceback" not in said


def test_another_way_to_fetch_is_refused(streamed):
    said = streamed("build", fetch="somehow").stdout
    assert said == "ERROR: fetch=somehow: say one of fetch=auto, fetch=stream, fetch=disk\n"


def test_a_plan_says_that_the_download_is_not_kept(streamed):
    said = streamed("plan").stdout
    assert "8.1 MB of download that is not kept" in said
    (shown,) = json.loads(streamed("plan", "--format=json").stdout)
    assert shown["estimate"]["streamed"]
    (shown,) = json.loads(streamed("plan", "--format=json", fetch="disk").stdout)
    assert not shown["estimate"]["streamed"]


@pytest.fixture
def long_build(tmp_path, hub):
    """A project over a larger source on the Hub, which comes slowly; its build is on record every MB."""
    project = make_project(tmp_path / "long", recipes=("4bit",), clips=1)
    params = params_of(dim=512, hidden=1024, layers=2)
    write_checkpoint(tmp_path / "weights", header_of(params))
    files = {WEIGHTS: (tmp_path / "weights").read_bytes(), "params.json": json.dumps(params).encode()}
    files["tekken.json"] = (project / "tiny/checkpoint/tekken.json").read_bytes()
    commit = hub.add("models", REPO, files)
    names = ", ".join(f"{{name: {name}}}" for name in files)
    for name, place in (("hub", f"hub: {{repo: {REPO}, revision: {commit}}}"), ("disk", "path: ../../disk")):
        described = f"name: {name}\nmodel: M\nsummary: S\n{place}\nlicense: mit\nlanguages: [en]\n"
        (project / f"recipes/sources/{name}.yaml").write_text(f"{described}files: [{names}]\n")
    (project / "disk").mkdir()
    for name, data in files.items():
        (project / "disk" / name).write_bytes(data)
    (project / "dodo.py").write_text(IMPATIENT + (project / "dodo.py").read_text())
    return project, files[WEIGHTS], f"/blobs/{hashlib.sha256(files[WEIGHTS]).hexdigest()}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_ended_goes_on_where_it_was(long_build, hub, environment, how):
    project, weights, place = long_build
    words = ("convert", "recipe=4bit", "source=hub", "fetch=stream")
    journal = project / "out/.partial/hub--4bit.journal.json"
    hub.hang(f"GET {place}", beyond=len(weights) // 2)
    with subprocess.Popen(
        doit_command(*words), cwd=project, env=os.environ | environment, stdout=-1, stderr=-2, text=True
    ) as process:
        until(lambda: journal.is_file() and json.loads(journal.read_text()).get("begun"), process)
        process.send_signal(how)
        said, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    hub.faults.clear()
    first = hub.sent[place]

    hub.fail(f"GET {place}", 403)
    gone = doit(project, *words, **environment)
    assert gone.returncode in FAILED
    assert "nothing came from byte" in gone.stdout
    assert "signature=" not in gone.stdout
    assert "run it again: what was converted is kept" in gone.stdout
    assert journal.is_file()
    hub.faults.clear()

    again = doit(project, *words, **environment)
    assert again.returncode == 0, again.stdout
    assert hub.sent[place] - first < len(weights), "it did not begin at the first byte"
    assert doit(project, "convert", "recipe=4bit", "source=disk").returncode == 0
    assert weights_of(project, "hub") == weights_of(project, "disk")


@pytest.fixture
def book(root):
    return read_book(root / "recipes")


@pytest.mark.parametrize(
    ("how", "free", "recipes", "expected"),
    [
        ("auto", 12 * 10**9, ["4bit"], False),
        ("auto", 11 * 10**9, ["4bit"], True),
        ("auto", 12 * 10**9, ["4bit", "8bit"], True),
        ("auto", 10**9, ["4bit-search"], False),
        ("disk", 10**9, ["4bit"], False),
        ("stream", 10**12, ["4bit"], True),
    ],
)
def test_weights_are_streamed_if_they_do_not_fit_beside_the_artifacts(
    book, monkeypatch, capsys, tmp_path, how, free, recipes, expected
):
    from small_sources import UPSTREAM_PARAMS, upstream_header

    header = Header(tuple(upstream_header()), UPSTREAM_PARAMS, False, 8_859_462_784)
    for module in (streaming, preview):
        monkeypatch.setattr(module, "read_source", lambda source, base: header)
        monkeypatch.setattr(module, "free_disk", lambda out: (free, None))
    monkeypatch.setattr(streaming, "to_receive", lambda source, base: source.files[:1])
    source = book.source("voxtral-mini-4b-realtime-2602")
    chosen = [book.recipe(name) for name in recipes]
    assert streaming.will_stream(source, tmp_path, chosen, how, tmp_path) == expected
    said = capsys.readouterr().err
    assert ("do not fit on the disk" in said) == (expected and how == "auto")
    assert said.count("\n") <= 1
    plans = json.loads(
        preview.show([(r, source) for r in chosen], Workspace(tmp_path), "json", False, {}, how)
    )
    assert [plan["estimate"]["streamed"] for plan in plans] == [expected] * len(recipes)


def test_fetch_stream_refuses_recipes_that_calibrate(book, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "to_receive", lambda source, base: source.files[:1])
    source = book.source("voxtral-mini-4b-realtime-2602")
    chosen = [book.recipe(name) for name in ("4bit", "4bit-search", "auto-4")]
    said = "4bit-search, auto-4 measures with the whole source"
    with pytest.raises(SourceError, match=said):
        streaming.will_stream(source, tmp_path, chosen, "stream", tmp_path)
    with pytest.raises(SourceError, match=said):
        preview.show([(r, source) for r in chosen], Workspace(tmp_path), "json", False, {}, "stream")

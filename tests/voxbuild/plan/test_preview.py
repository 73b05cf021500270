"""doit plan shows what would be built and what it needs, from the header of a local or remote source."""

import hashlib
import json
import struct

import pytest
from projects import FAILED, doit, edit, make_project, use_random_source
from small_sources import UPSTREAM_PARAMS, header_of, params_of, upstream_header, write_checkpoint

from voxbuild.artifact.manifest import Manifest
from voxbuild.plan import requirements as estimates
from voxbuild.plan.planner import make_plan
from voxbuild.plan.preview import as_text, preview
from voxbuild.plan.requirements import estimate
from voxbuild.recipes.book import read_book
from voxbuild.recipes.origins.ranges import CHUNK_BYTES, received
from voxbuild.recipes.recipe import Shards
from voxbuild.sources.header import Header
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.methods import METHODS

REPO = "maker/model"
WEIGHTS = "consolidated.safetensors"
HUB_SOURCE = """\
name: tiny
model: Random
summary: A random model.
hub: {{repo: maker/model, revision: {revision}}}
files: [{{name: consolidated.safetensors}}, {{name: params.json}}, {{name: tekken.json}}]
license: mit
languages: [en]
"""
PARAMS = params_of(dim=256, hidden=1024)
BIG = 2 * 10**6


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model's files on the Hub: path -> bytes; several MB of weights."""
    path = tmp_path_factory.mktemp("model") / WEIGHTS
    write_checkpoint(path, header_of(PARAMS))
    assert path.stat().st_size > BIG
    return {WEIGHTS: path.read_bytes(), "params.json": json.dumps(PARAMS).encode(), "tekken.json": b"{}"}


def pin(project, revision):
    (project / "recipes/sources/tiny.yaml").write_text(HUB_SOURCE.format(revision=revision))


@pytest.fixture
def project(hub, files, tmp_path):
    """A project whose source is a repository on the Hub, pinned before its last commit."""
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    pin(project, hub.add("models", REPO, files))
    hub.add("models", REPO, dict.fromkeys(files, b"changed since"))
    return project


@pytest.fixture
def plan(project, hub_environment, monkeypatch):
    """Run doit plan in the project with the Hub on loopback."""
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def run(*arguments, **environment):
        return doit(project, "plan", "recipe=4bit", *arguments, **(hub_environment | environment))

    return run


def bytes_of_weights(hub):
    return sum(count for path, count in hub.sent.items() if path.endswith(WEIGHTS))


@pytest.mark.slow
@pytest.mark.parametrize("redirects", [False, True])
def test_a_plan_of_a_hub_source_downloads_only_its_header(hub, plan, files, book, redirects):
    hub.redirects = redirects
    process = plan("--format", "json")
    assert process.returncode == 0, process.stdout
    (shown,) = json.loads(process.stdout)
    length = struct.unpack("<Q", files[WEIGHTS][:8])[0]
    names = {hashlib.sha256(data).hexdigest(): name for name, data in files.items()}
    sent = {path.rpartition("/")[2]: count for path, count in hub.sent.items() if count}
    assert {names.get(name, name): count for name, count in sent.items()} == {
        WEIGHTS: 8 + length,
        "params.json": len(files["params.json"]),
    }
    assert sum(sent.values()) < len(files[WEIGHTS]) / 50
    assert not [call for call in hub.calls if "tekken" in call]

    tensors = {t["name"]: t for t in shown["tensors"]}
    expected = make_plan(book.recipe("4bit"), header_of(PARAMS), PARAMS)
    assert {n: t["bytes"] for n, t in tensors.items()} == {t.name: t.nbytes for t in expected.tensors}
    assert not shown["downloaded"]
    assert shown["source_bytes"] == shown["estimate"]["download_bytes"] == len(files[WEIGHTS])
    assert (shown["repo"], shown["source"]) == (REPO, "tiny")


@pytest.mark.slow
def test_tensors_are_listed_on_request_and_the_rest_fits_a_screen(plan):
    text, _, loaders = plan("--tensors").stdout.rpartition("\n\n")
    assert loaders.startswith("voxmlx ")
    tensors, _, rest = text.partition("\n\n")
    assert any(line.startswith("| adapter.w_in.weight ") for line in tensors.splitlines())
    lines = rest.splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) < 160
    assert "MB of download" in lines[-1]
    assert "are free" in lines[-1]


@pytest.mark.slow
def test_cached_files_are_not_downloaded_again(project, hub, plan, hub_environment):
    assert doit(project, "fetch", **hub_environment).returncode == 0
    before = bytes_of_weights(hub)
    process = plan("--format=json", HF_HUB_OFFLINE="1")
    assert process.returncode == 0, process.stdout
    (shown,) = json.loads(process.stdout)
    assert shown["downloaded"]
    assert shown["estimate"]["download_bytes"] == 0
    assert bytes_of_weights(hub) == before


def refused(process):
    assert process.returncode in FAILED, process.stdout
    assert "Traceback" not in process.stdout
    assert len(process.stdout.strip().splitlines()) == 1
    return process.stdout


@pytest.mark.slow
def test_a_server_without_ranges_is_reported(hub, plan):
    hub.ranges = False
    assert "does not send ranges of bytes" in refused(plan())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "status", "code", "expected"),
    [
        ("GET .*consolidated", 404, "EntryNotFound", "Entry Not Found"),
        ("params.json", 404, "EntryNotFound", "Entry Not Found"),
        ("GET .*consolidated", 401, "RepoNotFound", "a private or gated one; correct the name, or log in"),
        ("GET .*consolidated", 404, "RevisionNotFound", "no revision"),
    ],
)
def test_a_refusal_by_the_hub_is_reported(hub, plan, call, status, code, expected):
    hub.fail(call, status, code=code)
    said = refused(plan())
    assert f"plan: {REPO}" in said
    assert expected in said


@pytest.mark.slow
def test_a_missing_network_is_reported(plan):
    for environment in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        said = refused(plan(**environment))
        assert "the Hub cannot be reached (" in said
        assert "check the network, or build from the embedded model" in said


@pytest.mark.slow
def test_a_damaged_header_is_reported(project, hub, plan, files):
    damaged = files[WEIGHTS][:8] + b"[" + files[WEIGHTS][9:]
    pin(project, hub.add("models", REPO, files | {WEIGHTS: damaged}))
    assert f"{REPO}/{WEIGHTS}: its header is damaged" in refused(plan())


@pytest.mark.slow
def test_a_local_plan_equals_the_build(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit", "2bit"), clips=1)
    use_random_source(project)
    edit(project / "recipes/4bit.yaml", "validate:", "shards: {max_size: 1MB}\nvalidate:")
    shown = json.loads(doit(project, "plan", "--format", "json").stdout)
    assert not (project / "out").exists()
    assert {one["recipe"] for one in shown} == {"4bit", "2bit"}
    assert doit(project, "convert").returncode == 0
    for one in shown:
        folder = project / "out/tiny" / one["recipe"]
        manifest = Manifest.load(folder)
        for shard in one["shards"]:
            assert (folder / shard["file"]).stat().st_size == shard["bytes"]
            with Checkpoint(folder / shard["file"]) as checkpoint:
                assert len(checkpoint.tensors) == shard["tensors"]
        assert (one["parameters"], one["bits_per_weight"]) == (manifest.parameters, manifest.bits_per_weight)
        assert one["estimate"]["disk_bytes"] >= sum(p.stat().st_size for p in folder.iterdir())


def upstream(book, name, here=None, free=10**12, cache_free=None, **changes):
    """The preview of a recipe at full size."""
    header = Header(tuple(upstream_header()), UPSTREAM_PARAMS, here, 8_859_462_784)
    plan = make_plan(book.recipe(name).model_copy(update=changes), header.tensors, header.params)
    return preview(book.source("voxtral-mini-4b-realtime-2602"), plan, header, free, cache_free), plan


def test_a_plan_at_full_size_fits_a_screen(book):
    for name in ("4bit", "mixed-4-6", "mxfp4", "bf16"):
        shown, plan = upstream(book, name, shards=Shards(max_size="1GB"))
        assert len(as_text(shown, None).splitlines()) < 40
        assert sum(row["bytes"] for row in shown["modules"]) == shown["bytes"] == plan.nbytes
        assert sum(row["parameters"] for row in shown["modules"]) == plan.parameters
        assert len(as_text(shown, plan).splitlines()) > 711


def test_bits_per_weight_are_shown_by_module_kind(book):
    rows = {row["kind"]: row for row in upstream(book, "4bit")[0]["modules"]}
    assert rows["embedding"]["bits_per_weight"] == rows["decoder mlp"]["bits_per_weight"] == 4.5
    assert rows["decoder norm"]["bits_per_weight"] == 16
    assert rows["embedding"]["parameters"] == 131072 * 3072
    assert {"encoder attention", "encoder mlp", "encoder conv", "adapter", "decoder ada_norm"} <= rows.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("free", "cache_free", "here", "enough"),
    [
        (12 * 10**9, None, None, True),
        (11 * 10**9, None, None, False),
        (11 * 10**9, None, "here", True),
        (3 * 10**9, 9 * 10**9, None, True),
        (3 * 10**9, 8 * 10**9, None, False),
        (2 * 10**9, 9 * 10**9, None, False),
    ],
)
def test_free_disk_space_is_compared_with_the_need(book, free, cache_free, here, enough):
    shown, _ = upstream(book, "4bit", here, free, cache_free)
    assert shown["disk"]["enough"] == enough
    assert ("NOT ENOUGH" in as_text(shown, None)) == (not enough)


@pytest.mark.parametrize(("cores", "seen"), [(2, 221), (8, 281), (32, 496)])
def test_memory_grows_with_the_cores(book, monkeypatch, cores, seen):
    """`seen`: MiB that the conversion of a source with one layer took with so many threads."""
    monkeypatch.setattr(estimates, "cores", lambda: cores)
    plan = make_plan(book.recipe("4bit"), upstream_header(), UPSTREAM_PARAMS)
    assert seen < estimate(plan, {t.name: t for t in upstream_header()}).memory / 2**20 < 1.3 * seen


def test_disk_grows_with_the_largest_scales_and_time_with_source_and_mode(book):
    def planned(name):
        return make_plan(book.recipe(name), upstream_header(), UPSTREAM_PARAMS)

    def of(name):
        return estimate(planned(name), {t.name: t for t in upstream_header()})

    assert of("4bit").memory == of("bf16").memory
    waiting = 2 * 131072 * (3072 // 64) * 2
    assert of("4bit").disk == planned("4bit").nbytes + estimates.SMALL_FILES + waiting
    assert of("bf16").disk == planned("bf16").nbytes + estimates.SMALL_FILES
    sizes = {t.name: t.nbytes for t in upstream_header()}
    quantized = sum(sizes[t.source] for t in planned("4bit").tensors if t.quantization)
    rest = (sum(sizes.values()) - quantized) / estimates.CAST_ONLY
    expected = quantized / METHODS["none"].throughput + rest
    assert of("4bit").seconds - estimates.FIXED_SECONDS == pytest.approx(expected)
    assert of("4bit").seconds < of("bf16").seconds, "so much is written"
    assert of("4bit").seconds < of("4bit-mse").seconds


class Endless:
    """A response whose body has no end; it counts what was taken of it."""

    taken = 0

    def iter_raw(self, size):
        while True:
            self.taken += size
            yield bytes(size)


def test_an_endless_answer_is_read_only_to_the_requested_length():
    answer = Endless()
    assert len(received(answer, 100_000)) == 100_001
    assert answer.taken <= 100_000 + 2 * CHUNK_BYTES

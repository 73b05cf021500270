"""Sources that are named by a folder: which files are read, what is told of them, and what is kept."""

import json
import shutil

import pytest
from found_folders import CARD, SHARDS, adapter, mistrals, sharded
from small_sources import write_checkpoint

from voxbuild.errors import CheckpointError, SourceError
from voxbuild.recipes.schema import load
from voxbuild.recipes.source import Source
from voxbuild.sources.found import find as finding
from voxbuild.sources.found.kept import kept_as
from voxbuild.sources.found.reference import refer
from voxbuild.workspace import Workspace
from voxrun.checkpoint.dialects import VOXMLX
from voxrun.checkpoint.tensors import Tensor


@pytest.fixture
def work(tmp_path):
    return Workspace(tmp_path / "project")


@pytest.fixture
def find(work):
    """Find a source as the command line asks for it; `sources` are those of recipes/sources/."""

    def run(source, adapter=None, sources=None, **given):
        sources = sources or {}
        found = {path.stem: load(path, Source) for path in work.found.glob("*.yaml")}
        asked = refer(str(source), sources | found)
        merged = refer(str(adapter), {}, "adapter") if adapter else None
        return finding.find(work, asked, merged, given, sources | found, sources)

    return run


def upstream(**changes):
    """A source of recipes/sources/ on the Hub."""
    files = [{"name": name} for name in ("consolidated.safetensors", "params.json", "tekken.json")]
    facts = {"name": "upstream", "model": "Upstream", "summary": "", "files": files, "license": "mit"}
    facts |= {"hub": {"repo": "maker/base", "revision": "a" * 40}, "languages": ["fr"]}
    return {"upstream": Source.model_validate_json(json.dumps(facts | changes))}


# Which files


def odd_name(folder):
    mistrals(folder)
    (folder / "consolidated.safetensors").rename(folder / "step-100.safetensors")


def beside_transformers(folder):
    mistrals(folder)
    write_checkpoint(folder / "model.safetensors", [Tensor("x", "BF16", (1,))])
    (folder / "config.json").write_text("{}")


def mistrals_shards(folder):
    sharded(folder, VOXMLX, "consolidated.safetensors.index.json", CONSOLIDATED)


def config_json(folder):
    sharded(folder)
    shutil.copy(folder / "params.json", folder / "config.json")


CONSOLIDATED = ("consolidated-00001-of-00002.safetensors", "consolidated-00002-of-00002.safetensors")


@pytest.mark.parametrize(
    ("make", "weights", "params"),
    [
        (mistrals, ("consolidated.safetensors",), "params.json"),
        (beside_transformers, ("consolidated.safetensors",), "params.json"),
        (sharded, SHARDS, "params.json"),
        (config_json, SHARDS, "config.json"),
        (mistrals_shards, CONSOLIDATED, "params.json"),
        (odd_name, ("step-100.safetensors",), "params.json"),
    ],
)
def test_the_files_of_a_checkpoint_are_recognised(find, tmp_path, make, weights, params):
    make(tmp_path / "mine")
    source = find(tmp_path / "mine").source
    assert source.weight_files == weights
    assert source.params == params
    assert [file.name for file in source.files] == [*weights, params, "tekken.json"]
    assert source.origin.folder(tmp_path) == tmp_path / "mine"


def test_other_weights_that_lie_there_are_said(find, tmp_path):
    """A fine-tune may have been saved into a copy of the upstream's folder, whose weights are read first."""
    mistrals(tmp_path / "mine")
    assert find(tmp_path / "mine").faults == ()
    write_checkpoint(tmp_path / "mine/model.safetensors", [Tensor("x", "BF16", (1,))])
    assert find(tmp_path / "mine").faults == (
        "model.safetensors: consolidated.safetensors is read instead; move it away if it is not the model"
        " that you mean",
    )
    shutil.copytree(adapter(tmp_path / "lora", "maker/base"), tmp_path / "mine", dirs_exist_ok=True)
    assert (
        f"adapter_model.safetensors: to merge it, say adapter={tmp_path}/mine too"
        in find(tmp_path / "mine").faults
    )
    assert find(tmp_path / "mine", tmp_path / "mine").source.adapter


def test_links_are_followed(find, tmp_path):
    mistrals(tmp_path / "real")
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "real").iterdir():
        (tmp_path / "mine" / path.name).symlink_to(path)
    assert find(tmp_path / "mine").source.name == "mine"


def without(name):
    return lambda folder: (folder / name).unlink()


def says(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def scaled(folder):
    write_checkpoint(folder / "consolidated.safetensors", [Tensor("layers.0.wq.scales", "BF16", (4,))])


def only(name):
    def change(folder):
        (folder / "consolidated.safetensors").rename(folder / name)

    return change


def dangling(folder):
    (folder / "consolidated.safetensors").unlink()
    (folder / "consolidated.safetensors").symlink_to(folder / "blob")


def a_shard_is_missing(folder):
    (folder / "consolidated.safetensors").rename(folder / SHARDS[0])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without("tekken.json"), "tekken.json, the tokenizer, is missing"),
        (without("params.json"), "neither params.json nor config.json"),
        (without("consolidated.safetensors"), "no safetensors file is there, so it is no checkpoint"),
        (only("model.Q4.gguf"), "only model.Q4.gguf; GGUF is quantized or packed already"),
        (only("pytorch_model.bin"), "only pytorch_model.bin; save the weights as safetensors"),
        (says("config.json", b'{"quantization": {"bits": 4}}'), "start from the unquantized weights"),
        (says("config.json", b'{"quantization_config": {"bits": 8}}'), "start from the unquantized weights"),
        (scaled, "layers.0.wq.scales, so it is already quantized"),
        (says("consolidated.safetensors", POINTER), "consolidated.safetensors: only a pointer of git-lfs"),
        (says("tekken.json", POINTER), "tekken.json: only a pointer of git-lfs; run `git lfs pull`"),
        (says("consolidated.safetensors", b"PK\3\4" + bytes(64)), "a file of torch.save"),
        (says("consolidated.safetensors", b"short"), "consolidated.safetensors"),
        (dangling, "a link to a file that does not exist"),
        (a_shard_is_missing, f"the shard {SHARDS[1]} is missing"),
    ],
)
def test_what_is_no_unquantized_checkpoint_is_refused_with_what_to_do(find, work, tmp_path, spoil, expected):
    spoil(mistrals(tmp_path / "mine"))
    with pytest.raises((SourceError, CheckpointError)) as caught:
        find(tmp_path / "mine")
    assert expected in str(caught.value)
    assert str(tmp_path / "mine") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not work.found.exists()


def test_a_missing_shard_of_an_index_is_named(find, tmp_path):
    (sharded(tmp_path / "mine") / SHARDS[1]).unlink()
    with pytest.raises(SourceError, match=rf"{SHARDS[1]}' is missing, though model.safetensors.index.json"):
        find(tmp_path / "mine")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            "nowhere",
            "there is no source nowhere; known: upstream; name a folder by its path, such as ./nowhere",
        ),
        ("./nowhere", "there is no such folder"),
        ("mine/params.json", "this is a file; name its folder"),
    ],
)
def test_what_is_neither_source_nor_folder_nor_repository(find, tmp_path, monkeypatch, asked, expected):
    mistrals(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=expected.replace(".", r"\.")):
        find(asked, sources=upstream())


# What is told


def test_the_card_tells_licence_languages_and_base_model(find, tmp_path):
    (mistrals(tmp_path / "mine") / "README.md").write_text(CARD)
    found = find(tmp_path / "mine")
    assert (found.source.license, found.source.languages) == ("apache-2.0", ("en", "no"))
    assert found.source.base_model == "maker/base"
    assert {found.origins[name] for name in ("license", "languages", "base_model")} == {"card"}


def test_without_a_card_the_trainers_config_tells_the_base_model(find, tmp_path):
    config = {"_name_or_path": "maker/base"}
    (mistrals(tmp_path / "mine") / "config.json").write_text(json.dumps(config))
    found = find(tmp_path / "mine")
    assert (found.source.base_model, found.origins["base_model"]) == ("maker/base", "config.json")
    assert (found.source.license, found.source.languages) == ("unknown", ())


@pytest.mark.parametrize("card", ["---\n: [\n---\n", "---\n- a list\n---\n", "\udcff"])
def test_a_broken_card_is_said_and_not_fatal(find, tmp_path, card):
    path = mistrals(tmp_path / "mine") / "README.md"
    path.write_text(card, errors="surrogateescape")
    found = find(tmp_path / "mine")
    assert found.source.license == "unknown"
    assert [fault for fault in found.faults if "README.md" in fault]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("with space ünïcode ☃", "with-space-unicode"),
        ("models--maker--base/snapshots/" + "a" * 40, "base"),
        ("registry", "registry-model"),
        ("Registry", "Registry-model"),
    ],
)
def test_a_source_is_named_after_its_folder(find, tmp_path, folder, name):
    mistrals(tmp_path / folder)
    source = find(tmp_path / folder).source
    assert (source.name, source.model) == (name, name)
    assert source.name in source.summary


# What is kept


def test_values_of_the_command_line_win_and_stay(find, work, tmp_path):
    (mistrals(tmp_path / "mine") / "README.md").write_text(CARD)
    find(tmp_path / "mine", license="mit", languages=["de"])
    (tmp_path / "mine/README.md").write_text(CARD.replace("maker/base", "maker/other"))
    again = find(tmp_path / "mine", languages=["nl"])
    assert (again.source.license, again.source.languages) == ("mit", ("nl",))
    assert again.source.base_model == "maker/other", "the card is read anew"
    assert kept_as(work, "mine") == again
    assert load(work.found / "mine.yaml", Source) == again.source, "it is a source's YAML"


def test_the_name_of_a_licence_goes_with_the_licence(find, tmp_path):
    card = "---\nlicense: other\nlicense_name: of-the-card\nlicense_link: LICENSE\n---\n"
    (mistrals(tmp_path / "mine") / "README.md").write_text(card)
    assert find(tmp_path / "mine").source.license_name == "of-the-card"
    with pytest.raises(SourceError, match="license=other: `other` needs license_name and license_link"):
        find(tmp_path / "mine", license="other", license_name="mine")
    link = "https://example.org/mine"
    given = find(tmp_path / "mine", license="other", license_name="mine", license_link=link).source
    assert (given.license_name, given.license_link) == ("mine", link)
    assert find(tmp_path / "mine").source.license_name == "mine"
    assert find(tmp_path / "mine", license="mit").source.license_name is None


def test_a_wrong_value_is_reported_with_its_variable(find, tmp_path):
    mistrals(tmp_path / "mine")
    with pytest.raises(SourceError, match=r"^base_model=nobody: "):
        find(tmp_path / "mine", base_model="nobody")
    with pytest.raises(SourceError, match=r"^name=a b: .* for example name=a-b"):
        find(tmp_path / "mine", name="a b")


def test_another_folder_of_the_same_name_is_refused_until_the_first_is_gone(find, tmp_path):
    mistrals(tmp_path / "a/mine")
    mistrals(tmp_path / "b/mine")
    find(tmp_path / "a/mine")
    with pytest.raises(SourceError, match=r"is already that of .*a/mine; choose another with name="):
        find(tmp_path / "b/mine")
    assert find(tmp_path / "b/mine", name="other").source.name == "other"
    assert find(tmp_path / "b/mine").source.name == "other", "its name is kept"
    shutil.rmtree(tmp_path / "a/mine")
    mistrals(tmp_path / "c/mine")
    assert find(tmp_path / "c/mine").source.name == "mine"


def test_the_name_of_a_source_in_the_project_is_refused_in_any_case_of_letters(find, tmp_path):
    mistrals(tmp_path / "Upstream")
    with pytest.raises(SourceError, match=r"upstream.yaml is a source of this name already"):
        find(tmp_path / "Upstream", sources=upstream())


# Adapters


def test_an_adapters_folder_is_merged_into_the_projects_source_that_its_config_names(find, tmp_path):
    adapter(tmp_path / "lora", "maker/base", "---\nlanguage: de\n---\n")
    found = find(tmp_path / "lora", sources=upstream(gates={"wer": 9.0}))
    source = found.source
    assert source.origin == upstream()["upstream"].origin, "pinned as there"
    assert source.adapter.origin.folder(tmp_path) == tmp_path / "lora"
    assert (source.name, source.base_model, source.languages) == ("lora", "maker/base", ("de",))
    assert (source.license, found.origins["license"]) == ("mit", "the source upstream")
    assert source.gates.wer == 9.0


def test_an_adapters_base_may_be_a_folder(find, tmp_path):
    base = mistrals(tmp_path / "base")
    source = find(adapter(tmp_path / "lora", str(base))).source
    assert source.origin.folder(tmp_path) == base
    assert source.weight_files == ("consolidated.safetensors",)


def test_an_adapter_over_a_source_makes_another_source(find, tmp_path):
    adapter(tmp_path / "lora", "")
    base = mistrals(tmp_path / "base")
    over = find("upstream", tmp_path / "lora", sources=upstream()).source
    assert (over.name, over.origin) == ("upstream-lora", upstream()["upstream"].origin)
    assert find(base, tmp_path / "lora").source.name == "base-lora"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without("adapter_model.safetensors"), "adapter_model.safetensors is missing; save the adapter"),
        (says("adapter_model.safetensors", POINTER), "only a pointer of git-lfs"),
        (says("adapter_config.json", b"{}"), "does not name its model; give it: source=MODEL adapter="),
        (
            says("adapter_config.json", b'{"base_model_name_or_path": "/no/folder"}'),
            "/no/folder: there is no such folder; .*adapter_config.json names it",
        ),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(find, tmp_path, spoil, expected):
    spoil(adapter(tmp_path / "lora", "maker/base"))
    with pytest.raises(SourceError, match=expected):
        find(tmp_path / "lora", sources=upstream())

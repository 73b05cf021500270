"""Sources that are named by a repository on the Hub: a branch becomes a commit, and stays it."""

import json

import pytest
from found_folders import CARD, adapter, files_of, mistrals
from hub_server import TOKEN
from huggingface_hub import HfApi, constants
from publishers import connect, disconnect

from voxbuild.errors import SourceError
from voxbuild.recipes.schema import load
from voxbuild.recipes.source import Source
from voxbuild.sources.found import find as finding
from voxbuild.sources.found.reference import refer
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of


@pytest.fixture
def online(hub, monkeypatch):
    yield connect(monkeypatch, hub.url, TOKEN)
    disconnect()


@pytest.fixture
def find(online, tmp_path):
    work = Workspace(tmp_path / "project")

    def run(source, adapter=None, **given):
        found = {path.stem: load(path, Source) for path in work.found.glob("*.yaml")}
        asked = refer(source, found)
        merged = refer(adapter, {}, "adapter") if adapter else None
        return finding.find(work, asked, merged, given, found, {}).source

    return run


@pytest.fixture
def files(tmp_path):
    """Files of a checkpoint with a card."""
    (mistrals(tmp_path / "mine") / "README.md").write_text(CARD)
    return files_of(tmp_path / "mine")


def test_a_branch_is_pinned_to_its_commit_with_sizes_and_hashes(hub, find, files, tmp_path):
    commit = hub.add("models", "owner/name", files)
    source = find("owner/name")
    assert (source.name, source.hub.repo, source.hub.revision) == ("name", "owner/name", commit)
    assert (source.license, source.base_model, source.private) == ("apache-2.0", "maker/base", False)
    pinned = {file.name: file for file in source.files}
    assert pinned.keys() == {"consolidated.safetensors", "params.json", "tekken.json"}
    weights = tmp_path / "mine/consolidated.safetensors"
    assert pinned[weights.name].size == weights.stat().st_size
    assert pinned[weights.name].sha256 == sha256_of(weights)
    assert max(hub.sent.values()) < weights.stat().st_size, "only the weights' header was read"


def test_a_branch_that_has_moved_is_refused_with_both_commits(hub, find, files):
    old = hub.add("models", "owner/name", files)
    find("owner/name")
    new = hub.add("models", "owner/name", files | {"params.json": files["params.json"] + b"\n"})
    with pytest.raises(SourceError) as caught:
        find("owner/name")
    assert f"main is at {new} now, and was at {old}" in str(caught.value)
    assert f"go on with source=owner/name@{new}" in str(caught.value)
    assert find(f"owner/name@{old}").hub.revision == old
    assert find(f"owner/name@{new}").hub.revision == new
    assert find("owner/name").hub.revision == new


def test_a_tag_and_another_branch_are_followed(hub, find, files):
    first = hub.add("models", "owner/name", files)
    HfApi(endpoint=hub.url, token=TOKEN).create_tag("owner/name", tag="v1")
    other = hub.add("models", "owner/name", files | {"more.txt": b""}, branch="next")
    assert find("owner/name@v1").hub.revision == first
    assert find("owner/name@next", name="next").hub.revision == other


def test_a_commit_that_was_found_before_is_not_asked_for_again(hub, find, files):
    commit = hub.add("models", "owner/name", files)
    first = find(f"owner/name@{commit}")
    hub.calls.clear()
    assert find(f"owner/name@{commit}", license="mit").license == "mit"
    assert find(f"owner/name@{commit}").hub == first.hub
    assert hub.calls == []


def test_without_a_network_the_commit_stays(hub, find, files, monkeypatch, capsys):
    commit = hub.add("models", "owner/name", files)
    find("owner/name")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find("owner/name", languages=["de"]).hub.revision == commit
    assert f"the source name stays at {commit}" in capsys.readouterr().err
    with pytest.raises(SourceError, match="the Hub cannot be reached"):
        find("owner/other")


@pytest.mark.parametrize("settings", [{"private": True}, {"gated": "manual"}])
def test_a_private_or_gated_repository_makes_a_private_source(hub, find, files, settings):
    hub.add("models", "owner/name", files)
    hub.restrict("owner/name", **settings)
    assert find("owner/name").private


def test_an_unknown_repository_and_revision_are_reported(hub, find, files):
    hub.add("models", "owner/name", files)
    with pytest.raises(SourceError, match="owner/nobody: no such repository on the Hub"):
        find("owner/nobody")
    with pytest.raises(SourceError, match="owner/name: no revision v9 on the Hub"):
        find("owner/name@v9")


def test_a_wrong_token_is_reported_with_what_to_do(hub, find, monkeypatch):
    connect(monkeypatch, hub.url, "hf_wrong")
    expected = r"^owner/name at main: [^:]*; log in with `hf auth login`, or correct HF_TOKEN$"
    with pytest.raises(SourceError, match=expected):
        find("owner/name")


def test_an_adapter_on_the_hub_brings_its_model_and_both_are_pinned(hub, find, files, tmp_path):
    base = hub.add("models", "maker/base", files)
    trainers = {"step-5/model.safetensors": b"", "step-5/model.safetensors.index.json": b"{}"}
    lora = hub.add("models", "owner/lora", trainers | files_of(adapter(tmp_path / "lora", "maker/base")))
    hub.restrict("owner/lora", private=True)
    source = find("owner/lora")
    assert source.hub.revision == base
    assert source.adapter.hub.identity == {"repo": "owner/lora", "revision": lora}
    assert (source.name, source.base_model, source.private) == ("lora", "maker/base", True)
    hub.add("models", "maker/base", files | {"more.txt": b""})
    assert find("owner/lora").hub.revision == base, "the model's commit stays that of the first time"
    assert find("maker/base", "owner/lora").name == "base-lora"


def test_an_adapter_is_merged_into_the_commit_that_it_names(hub, find, files, tmp_path):
    first = hub.add("models", "maker/base", files)
    latest = hub.add("models", "maker/base", files | {"more.txt": b""})
    assert find("maker/base").hub.revision == latest, "a source that is known already"
    lora = adapter(tmp_path / "lora", "maker/base")
    config = json.loads((lora / "adapter_config.json").read_text())
    for name, revision, expected in (("a", first, first), ("b", None, latest), ("c", latest, latest)):
        (lora / "adapter_config.json").write_text(json.dumps(config | {"revision": revision}))
        assert find(str(lora), name=name).hub.revision == expected


def test_the_base_model_is_that_into_which_the_adapter_is_merged(hub, find, files, tmp_path):
    hub.add("models", "maker/base", files)
    lora = adapter(tmp_path / "lora", "outputs/checkpoint-500", CARD.replace("maker/base", "maker/other"))
    assert find("maker/base", str(lora)).base_model == "maker/base"

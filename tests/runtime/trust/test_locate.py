"""A local registry that somebody else may have written: found by name, and not trusted."""

import json
import os
from pathlib import Path

import pytest

from voxrun.errors import ModelError
from voxrun.trust.registry import Registry

OLD, NEW = "0" * 39 + "1", "0" * 39 + "2"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """team/voice with the tags v1 and v2, v2 withdrawn; team/noise and other/noise with v1."""
    registry = Registry(tmp_path / "registry")
    add(registry, "team/voice", {"v1": OLD, "v2": NEW, "main": OLD, "withdrawn-v2": NEW})
    history = [{"tag": "v2", "commit": NEW, "date": "", "reason": "deaf"}]
    (registry.path("team/voice") / "history.json").write_text(json.dumps(history))
    for repo in ("team/noise", "other/noise"):
        add(registry, repo, {"v1": OLD, "main": OLD})
    return registry


def add(registry: Registry, repo: str, refs: dict[str, str]) -> None:
    for ref, commit in refs.items():
        for folder in ("refs", f"snapshots/{commit}"):
            (registry.path(repo) / folder).mkdir(parents=True, exist_ok=True)
        (registry.path(repo) / "refs" / ref).write_text(commit)


def test_repositories_and_tags_are_listed(registry: Registry) -> None:
    (registry.folder / ".locks").mkdir()
    for name in ("models--nobody", "datasets--a--b", "models--a--b--c", "models--empty--repo"):
        (registry.folder / name / "refs").mkdir(parents=True)
    assert registry.repos() == ["other/noise", "team/noise", "team/voice"]
    assert registry.tags("team/voice") == ["v1", "v2"]
    assert Registry(registry.folder / "nowhere").repos() == []


def test_names_without_owner_are_found_if_there_is_one(registry: Registry) -> None:
    assert registry.find("voice") == registry.find("team/voice") == "team/voice"
    with pytest.raises(
        ModelError, match=r"^noise may be other/noise or team/noise in the registry .*: name the"
    ):
        registry.find("noise")
    with pytest.raises(ModelError, match=r"which holds other/noise, team/noise, team/voice$"):
        registry.find("vioce")
    with pytest.raises(ModelError, match=r"which is empty$"):
        Registry(registry.folder / "nowhere").find("voice")


@pytest.mark.parametrize(
    "name", ["", "..", "../team/voice", "team/../voice", "models--team--voice", "a--b/c"]
)
def test_names_that_lead_upwards_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(ModelError, match="is not in the registry"):
        registry.find(name)
    with pytest.raises(ModelError, match="is no name of a repository"):
        registry.path(name)


def test_tags_stand_for_commits(registry: Registry) -> None:
    assert registry.commit("team/voice", "v1") == registry.commit("team/voice", OLD) == OLD
    assert registry.commit("team/voice", "v3") is None
    assert registry.commit("team/voice", "3" * 40) is None
    assert registry.commit("team/other", "v1") is None
    assert registry.snapshot("team/voice", OLD) == registry.path("team/voice") / "snapshots" / OLD


@pytest.mark.parametrize("revision", ["../refs/v1", "..", ".", "", "a/b", "v 1", "v1\n"])
def test_revisions_that_lead_upwards_are_refused(registry: Registry, revision: str) -> None:
    with pytest.raises(ModelError, match="is no tag and no commit"):
        registry.commit("team/voice", revision)


@pytest.mark.parametrize(
    "content", ["", "../../../etc", OLD + "\n", OLD + "0" * 10**6, OLD[:-1], "Z" * 40, "/" + OLD, "\0" * 40]
)
def test_a_ref_that_holds_no_commit_is_refused(registry: Registry, content: str) -> None:
    (registry.path("team/voice") / "refs/v1").write_text(content)
    with pytest.raises(ModelError, match=r"refs/v1: .{2,200} is no commit, which has 40 hexadecimal digits$"):
        registry.commit("team/voice", "v1")


def test_a_ref_that_is_no_file_is_refused(registry: Registry, tmp_path: Path) -> None:
    refs = registry.path("team/voice") / "refs"
    (tmp_path / "ref").write_text(OLD)
    (refs / "link").symlink_to(tmp_path / "ref")
    (refs / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(ModelError, match=rf"refs/{name}: no ref, which is a plain file"):
            registry.commit("team/voice", name)


def test_a_snapshot_that_leads_out_is_refused(registry: Registry, tmp_path: Path) -> None:
    folder = registry.path("team/voice") / "snapshots"
    (tmp_path / "secret").write_text("secret")
    (folder / OLD / "sub").mkdir()
    for link in (folder / OLD / "config.json", folder / OLD / "sub" / "x"):
        link.symlink_to(tmp_path / "secret")
        with pytest.raises(ModelError, match=rf"^{link} leads out of the registry"):
            registry.snapshot("team/voice", OLD)
        link.unlink()
    (folder / NEW).rmdir()
    with pytest.raises(ModelError, match="is missing: the registry is damaged"):
        registry.snapshot("team/voice", NEW)
    (folder / NEW).symlink_to(tmp_path)
    with pytest.raises(ModelError, match="leads out of the registry"):
        registry.snapshot("team/voice", NEW)


def test_a_name_that_leads_out_is_quoted_in_printable_characters(registry: Registry) -> None:
    link = registry.path("team/voice") / "snapshots" / OLD / "a\x1b[2K\nb"
    link.symlink_to("/")
    with pytest.raises(ModelError, match=rf"/{OLD}/a \[2K b leads out of the registry"):
        registry.snapshot("team/voice", OLD)


def test_withdrawn_tags_say_why(registry: Registry) -> None:
    assert registry.withdrawn("team/voice", "v2") == "deaf"
    assert registry.withdrawn("team/voice", "v1") is None
    (registry.path("team/voice") / "history.json").unlink()
    assert registry.withdrawn("team/voice", "v2") == "no reason was recorded"


def test_a_withdrawal_of_another_commit_does_not_count(registry: Registry) -> None:
    (registry.path("team/voice") / "refs/v2").write_text(OLD)
    assert registry.withdrawn("team/voice", "v2") is None


def test_the_history_is_oldest_first_and_holds_what_is_there(registry: Registry) -> None:
    lines = [("v0", OLD), ("v2", OLD), ("v2", NEW)]
    history = [{"tag": tag, "commit": commit, "date": "\x1b[2J"} for tag, commit in lines]
    (registry.path("team/voice") / "history.json").write_text(json.dumps(history))
    assert [(r.tag, r.commit, r.date) for r in registry.history("team/voice")] == [
        ("v1", OLD, ""),
        ("v2", NEW, "[2J"),
    ]
    assert registry.history("team/other") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}x",
        "[1]",
        '["tag"]',
        '[{"tag": "v1"}]',
        "[" * 10**5,
        '[{"tag": 1, "commit": 2, "date": 3}]',
        '[{"tag": "v1", "commit": "", "date": "", "more": ""}]',
        '[{"tag": "v1", "tag": "v2", "commit": "", "date": ""}]',
        '[{"' + "\\u001b[2J" * 20_000 + '": 1}]',
        "null",
    ],
    ids=lambda content: content[:20],
)
def test_an_invalid_history_is_reported(registry: Registry, content: str) -> None:
    path = registry.path("team/voice") / "history.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=rf"^{path}: no history of tags") as caught:
        registry.history("team/voice")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    path.write_text(" " * (2**22 + 1))
    with pytest.raises(ModelError, match="larger than 4,194,304 bytes"):
        registry.history("team/voice")


def test_reading_a_history_that_is_a_pipe_does_not_block(registry: Registry, tmp_path: Path) -> None:
    path = registry.path("team/voice") / "history.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"no history of tags \(not a regular file\)"):
        registry.history("team/voice")
    path.unlink()
    (tmp_path / "elsewhere.json").write_text("[]")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelError, match="leads out of the folder"):
        registry.history("team/voice")


def test_a_withdrawn_commit_gives_a_warning(registry: Registry) -> None:
    assert registry.withdrawn_at("team/voice", NEW) == {"v2": "deaf"}
    (registry.path("team/voice") / "refs/pr").mkdir()  # as the Hub's client keeps pull requests
    assert registry.withdrawn_at("team/voice", OLD) == {}

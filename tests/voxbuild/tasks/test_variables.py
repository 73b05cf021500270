"""The variables of the command line: a source of one's own, and recipes changed for one command."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
from adapters import write_config
from doit.exceptions import InvalidTask
from found_folders import adapter, files_of
from projects import ROOT, doit, edit, make_project, skipped

from voxbuild.files import read_json
from voxbuild.plan.finding import finding
from voxbuild.recipes.book import read_book
from voxbuild.sources.found import kept
from voxbuild.tasks import actions, selection, up_to_date
from voxbuild.tasks import variables as variables_module
from voxbuild.tasks.show import show_plans
from voxrun.checkpoint.tensors import Tensor

REPO = "repo=me/{model}-{recipe}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project, a fine-tune `mine` and recordings `own` beside it; the project is the current folder."""
    project = make_project(tmp_path / "project", clips=1)
    shutil.copytree(ROOT / "tiny/checkpoint", tmp_path / "mine", ignore=shutil.ignore_patterns("README.md"))
    shutil.copytree(project / "few", tmp_path / "own")
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def say(project, monkeypatch):
    """Give variables on the command line, and return the variants that they select."""

    def run(**variables):
        monkeypatch.setattr(sys, "argv", ["doit", *(f"{n}={v}" for n, v in variables.items())])
        monkeypatch.setattr("doit.doit_cmd._CMDLINE_VARS", variables)
        for once in (read_book, variables_module.settle, variables_module.changed):
            once.cache_clear()  # each command is a process of its own
        return selection.builds()

    return run


def refused(say, **variables):
    with pytest.raises(InvalidTask) as caught:
        say(**variables)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_becomes_a_source_that_its_name_selects(say, project):
    variant = say(source="../mine", recipe="4bit", license="mit")[0]
    assert (variant.source.name, variant.source.license) == ("mine", "mit")
    assert say(source="mine", recipe="4bit")[0].source == variant.source
    assert say(source="mine", recipe="4bit", license="apache-2.0")[0].source.license == "apache-2.0"
    assert (project / "out/.sources/mine.yaml").is_file()
    files = up_to_date.recordings(["few"])
    assert "few/transcripts.tsv" in files
    assert all((project / file).is_file() for file in files.values())


def test_a_found_source_is_kept_by_copying_it(say, project):
    found = say(source="../mine")[0].source
    shutil.copy(project / "out/.sources/mine.yaml", project / "recipes/sources")
    again = say(source="../mine", recipe="4bit")[0]
    assert again.source == found
    assert again.book.found == frozenset()
    assert "edit " in refused(say, source="mine", license="mit")
    assert "edit " in refused(say, source="../mine", license="mit")
    assert "of this name already" in refused(say, source="../mine", name="tiny")


def test_a_copied_source_stays_private_and_names_what_belongs_into_a_recipe(say, project):
    say(source="../mine", recipe="4bit", private="yes", repo="me/{model}-{recipe}", clips="../own")
    text = (project / "out/.sources/mine.yaml").read_text()
    assert "belongs into a recipe: repo=me/{model}-{recipe} clips=" in text
    (project / "recipes/sources/mine.yaml").write_text(text)
    copied = say(source="mine", recipe="4bit")[0]
    assert copied.book.private(copied.source, copied.recipe)


def test_a_place_that_the_project_describes_is_that_source(say):
    assert say(source="tiny/checkpoint")[0].source.name == "tiny"


def test_what_is_evaluated_is_not_what_validates_later(say, project, monkeypatch):
    say(source="../mine", recipe="4bit")
    monkeypatch.setattr(selection, "evaluating", lambda: True)
    assert list(say(source="mine", recipe="4bit", clips="../own")[0].clip_sets) == ["own"]
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert list(say(source="mine", recipe="4bit")[0].clip_sets) == ["few"]


def test_a_vanished_folder_does_not_hinder_other_commands(say, project):
    say(source="../mine")
    shutil.rmtree(project.parent / "mine")
    assert [variant.source.name for variant in say()] == ["tiny", "tiny"]
    assert say(source="mine")[0].source.name == "mine", "what was built can be looked at"
    assert "no such folder" in refused(say, source="../mine")


def test_what_cannot_be_kept_is_one_line_without_tokens_and_without_the_terminals_commands(
    say, project, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_my_secret")
    assert "there is no source <token>;" in refused(say, source="hf_my_secret")
    write_config(project.parent / "lora", {"r": 4, "base_model_name_or_path": "\x1b[31mred\nline two"})
    (project.parent / "lora/adapter_model.safetensors").write_bytes(b"")
    assert "there is no model [31mred line two;" in refused(say, source="../lora")
    (project / "out").write_text("a file")
    assert f"{project}/out" in refused(say, source="../mine")


def test_recipes_are_changed_for_one_command_over_a_source_of_the_project(say):
    variant = say(recipe="4bit", source="tiny", repo="me/{model}-{recipe}", private="yes")[0]
    assert (variant.repo, variant.recipe.publish.private) == ("me/Voxtral-Tiny-Prompts-4bit", True)
    other = say(recipe="4bit", source="tiny", private="no")[0]
    assert (other.repo, other.recipe.publish.private) == ("someone/Voxtral-Tiny-Prompts-4bit", False)
    assert other.digest != variant.digest


def test_what_changes_recipes_is_kept_with_a_found_source_but_for_private_no(say):
    built = say(recipe="4bit", source="../mine", repo="me/{model}-{recipe}", private="yes", clips="../own")[0]
    for again in ({"source": "mine"}, {"source": "../mine"}):
        later = say(recipe="4bit", **again)[0]
        assert (later.repo, later.recipe.publish.private) == ("me/mine-4bit", True)
        assert (list(later.clip_sets), later.digest) == (["own"], built.digest)
    assert say(recipe="4bit")[0].repo.startswith("someone/"), "another source"
    assert say(recipe="4bit", source="mine", private="no")[0].recipe.publish.private is False
    assert say(recipe="4bit", source="mine")[0].recipe.publish.private, "private=no was for one command"
    assert say(recipe="4bit", source="mine", repo="you/{model}")[0].repo == "you/mine"
    assert say(recipe="4bit", source="mine")[0].repo == "you/mine"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"private": "ja"}, "private=ja: "),
        ({"repo": "me"}, "repo=me: "),
        ({"repo": "me/{modle}-{recipe}"}, "repo=me/{modle}-{recipe}: "),
        ({"repo": "me/{model}--{recipe}"}, "me/mine--4bit cannot be a repository"),
    ],
)
def test_a_wrong_value_is_not_kept(say, wrong, expected):
    say(recipe="4bit", source="../mine", repo="me/{model}-{recipe}", private="yes")
    assert expected in refused(say, recipe="4bit", source="mine", **wrong)
    assert expected in refused(say, recipe="4bit", source="tiny", **wrong).replace(
        "Voxtral-Tiny-Prompts", "mine"
    )
    later = say(recipe="4bit", source="mine")[0]
    assert (later.repo, later.recipe.publish.private) == ("me/mine-4bit", True)


def test_a_repository_of_one_recipe_is_kept_for_that_recipe(say):
    say(recipe="4bit", source="../mine", repo="me/one", private="yes")
    assert say(recipe="4bit", source="mine")[0].repo == "me/one"
    repos = {variant.recipe.name: variant.repo for variant in say(source="mine")}
    assert repos == {"4bit": "me/one", "2bit": "someone/mine-2bit"}
    assert all(variant.private for variant in say(source="mine"))
    assert say(recipe="2bit", source="mine", repo="me/{recipe}")[0].repo == "me/2bit"
    assert say(recipe="4bit", source="mine")[0].repo == "me/4bit"


def test_choices_are_kept_for_an_adapter_and_are_not_those_of_its_model(say, project):
    adapter(project.parent / "lora", "maker/base")
    say(source="../mine", repo="me/{recipe}", clips="../own")
    assert say(recipe="4bit", source="mine", adapter="../lora")[0].repo == "someone/mine-lora-4bit"
    say(recipe="4bit", adapter="../lora", repo="you/{recipe}", private="yes")
    again = say(recipe="4bit", adapter="../lora")[0]
    assert (again.source.name, again.repo, again.private) == ("tiny-lora", "you/4bit", True)


def test_a_moved_folder_keeps_what_was_said_of_it(say, project, capsys):
    built = say(
        recipe="4bit", source="../mine", license="mit", private="yes", repo="me/{model}", clips="../own"
    )
    (project.parent / "elsewhere").mkdir()
    (project.parent / "mine").rename(project.parent / "elsewhere/mine")
    moved = say(recipe="4bit", source="../elsewhere/mine")[0]
    assert (moved.source.license, moved.repo) == ("mit", "me/mine")
    assert (moved.recipe.publish.private, list(moved.clip_sets)) == (True, ["own"])
    assert moved.digest == built[0].digest
    assert "mine was in" in capsys.readouterr().err


def test_views_follow_the_repository(say, project):
    recipe = project / "recipes/4bit.yaml"
    edit(recipe, "quantize: {mode: affine, bits: 4, group_size: 64}\n", "dialects: [mlx-audio]\n")
    edit(recipe, "  repo: someone/{model}-{recipe}", "  repo: a/{model}-{recipe}\n  view: a/{model}-view")
    assert say(recipe="4bit")[0].views[0].repo == "a/Voxtral-Tiny-Prompts-view"
    assert say(recipe="4bit", repo="me/{recipe}")[0].views[0].repo == "me/4bit-mlx-audio"


def test_own_clips_replace_those_of_the_recipe_and_of_the_source(say, project):
    edit(project / "recipes/sources/tiny.yaml", "languages: [en]", "languages: [en]\nclips: [few]")
    (project.parent / "own/LICENSE").write_text("\nMy licence, 2026\nmore\n")
    variant = say(recipe="4bit", clips="../own", source="tiny")[0]
    clips = variant.clip_sets
    assert list(clips) == ["own"]
    assert (clips["own"].language, clips["own"].license) == ("en", "My licence, 2026")
    assert list(say(recipe="4bit", clips="own,few", source="../mine")[0].clip_sets) == ["own", "few"]
    own = up_to_date.recordings(["own"])["own/transcripts.tsv"]
    assert own.samefile(project.parent / "own/transcripts.tsv")


@pytest.mark.parametrize(
    ("name", "content", "licence"),
    [
        ("LICENSE", "Für alle".encode("latin-1"), "not stated"),
        ("README.md", f"---\nlicense: {'x' * 9_000}\n---\n".encode(), "x" * 100),
    ],
)
def test_a_licence_of_own_clips_that_cannot_be_shown_is_left_out_or_cut(say, project, name, content, licence):
    (project.parent / "own" / name).write_bytes(content)
    assert say(recipe="4bit", clips="../own")[0].clip_sets["own"].license == licence


def test_two_folders_of_one_name_are_two_clip_sets(say, project):
    shutil.copytree(project.parent / "own", project.parent / "b/own")
    both = say(recipe="4bit", clips="../own,../b/own")[0].clip_sets
    assert list(both) == ["own", "b-own"]
    assert list(say(recipe="4bit", clips="few")[0].clip_sets) == ["few"]
    assert list(say(recipe="4bit", clips="./few")[0].clip_sets) == ["few"], (
        "the folder of a known set is that set"
    )


def test_clips_that_calibrate_cannot_validate(say, project):
    (project / "recipes/clips/other.yaml").write_text(
        (project / "recipes/clips/few.yaml")
        .read_text()
        .replace("name: few", "name: other")
        .replace("few", "own")
    )
    shutil.copytree(project.parent / "own", project / "own")
    recipe = project / "recipes/4bit.yaml"
    edit(recipe, "group_size: 64}", "group_size: 64, search: activation}\ncalibrate: other")
    assert "own calibrates 4bit" not in refused(say, recipe="4bit", clips="./own")
    assert "other calibrates 4bit, so it cannot validate it" in refused(say, recipe="4bit", clips="./own")
    assert say(recipe="2bit", clips="other")


def test_an_adapter_belongs_to_the_recipes_source(say, project):
    adapter(project.parent / "lora", "")
    source = say(recipe="4bit", adapter="../lora")[0].source
    assert source.name == "tiny-lora"
    assert source.origin.folder(project) == (project / "tiny/checkpoint").resolve()
    assert source.adapter.origin.folder(project) == project.parent / "lora"


def test_the_plan_says_over_which_model_an_adapter_was_trained(say, project):
    adapter(project.parent / "lora", "maker/another")
    say(recipe="4bit", adapter="../lora")
    found = kept.kept_as(actions.workspace(), "tiny-lora")
    header = SimpleNamespace(tensors=[Tensor("norm.weight", "BF16", (1,))], nbytes=1)
    facts = finding(found, actions.variant_of("tiny-lora", "4bit").recipe, header, {})["facts"]
    assert facts["adapter"]["value"] == f"{project.parent / 'lora'}, trained over maker/another"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"license": "mit"}, "license= belongs to a source that source=PATH or OWNER/NAME finds"),
        ({"source": "tiny", "languages": "de"}, "languages= cannot change this source; edit "),
        ({"source": "../mine", "name": ""}, "name= has no value"),
        ({"source": "../mine", "name": "x/y"}, "name=x/y: not a valid name"),
        ({"source": "../mine", "base_model": "x"}, "base_model=x: "),
        (
            {"source": "../mine", "license": "mit", "license_name": "x"},
            "license_name= belongs to license=other, and the licence is mit",
        ),
        ({"private": "maybe"}, "private=maybe: say private=yes or private=no"),
        ({"repo": "me", "recipe": "4bit"}, "repo=me: not OWNER/NAME"),
        ({"repo": "me/{modl}", "recipe": "4bit"}, "only {model} and {recipe} are filled in"),
        ({"source": "https://hub.example/me/mine"}, "name it as OWNER/NAME, without the address"),
        ({"repo": "me/one"}, "repo=me/one: 2 recipes need {recipe} in it"),
        ({"clips": "nothing"}, "clips=nothing: no such clip set and no such folder; known: few"),
        ({"clips": "../mine"}, "no transcripts.tsv is there"),
        ({"licence": "mit"}, "unknown variable licence; known: recipe, source, adapter, name, license"),
    ],
)
def test_a_wrong_variable_is_one_line(say, variables, expected):
    assert expected in refused(say, **variables)


def test_recordings_that_are_missing_are_reported_before_a_build(say, project):
    next((project.parent / "own").glob("*.flac")).unlink()
    assert "the recording is missing" in refused(say, clips="../own")


def test_a_spawned_worker_takes_the_variables_from_its_arguments(say, monkeypatch):
    changed = say(recipe="4bit", source="../mine", repo="me/{recipe}", clips="../own")[0]
    monkeypatch.setattr("doit.doit_cmd._CMDLINE_VARS", None)
    variant = actions.variant_of("mine", "4bit")
    assert (variant.repo, variant.digest) == ("me/4bit", changed.digest)


def test_the_plan_says_what_was_found_and_what_is_missing(say, project, capsys):
    say(recipe="4bit", source="../mine", license="mit", private="yes")
    show_plans([("mine", "4bit")], "auto", "json", False)
    found = json.loads(capsys.readouterr().out)[0]["found"]
    assert found["facts"]["licence"] == {"value": "mit", "from": "command line"}
    assert found["facts"]["weights"]["value"] == "1 file, 8,129,944 bytes, named as by mistral"
    assert found["facts"]["repository"] == {"value": "someone/mine-4bit", "from": "recipe 4bit"}
    assert found["facts"]["visibility"] == {"value": "private", "from": "command line"}
    for variable in ("languages=", "base_model=", "clips="):
        assert [line for line in found["missing"] if variable in line], variable
    assert not [line for line in found["missing"] if "license=" in line or "repo=" in line]
    edit(project / "recipes/4bit.yaml", "repo: someone/", "repo: your-name/")
    say(recipe="4bit", source="mine")
    show_plans([("mine", "4bit")], "auto", "json", False)
    (name,) = [m for m in json.loads(capsys.readouterr().out)[0]["found"]["missing"] if "repo=" in m]
    assert "would be published by your-name" in name
    say(recipe="4bit", source="mine")
    show_plans([("mine", "4bit")], "auto", "json", False)
    facts = json.loads(capsys.readouterr().out)[0]["found"]["facts"]
    assert facts["licence"] == {"value": "mit", "from": "an earlier command line"}
    show_plans([("mine", "4bit")], "auto", "table", False)
    text = capsys.readouterr().out
    assert "missing: the languages; give them: languages=en,de" in text
    show_plans([("tiny", "4bit")], "auto", "json", False)
    assert json.loads(capsys.readouterr().out)[0]["found"] is None


@pytest.mark.slow
def test_a_fine_tune_is_built_published_and_verified_without_yaml(project):
    choices = (REPO, "private=yes", "clips=../own")
    source = ("source=../mine", "license=mit", "languages=en")
    process = doit(project, "-n", "2", "build", "recipe=4bit", *source, *choices)
    assert process.returncode == 0, process.stdout
    assert "4bit over mine passes its gates\n" in process.stdout, "tables of parallel builds have a name"
    folder = project / "out/mine/4bit"
    assert read_json(folder / "validation.json")["sets"].keys() == {"own"}
    assert "license: mit" in (folder / "README.md").read_text()
    published = doit(project, "publish", "recipe=4bit", "source=mine", *choices)
    assert "published me/mine-4bit at v" in published.stdout
    verified = doit(project, "verify", "recipe=4bit", "source=../mine", *choices)
    assert verified.returncode == 0, verified.stdout
    assert (
        "up to date  validate:mine:4bit"
        in doit(project, "explain", "recipe=4bit", source[0], *choices).stdout
    )
    table = doit(project, "table").stdout
    assert "mine\n" in table
    assert table.strip().splitlines()[-1].endswith("| pass    |"), table
    assert "a source of your own: source=NAME" in doit(project, "verify").stdout
    everything = doit(project, "publish", "--dry-run")
    assert "mine" not in everything.stdout, "a found source is published only if it is named"


@pytest.mark.slow
def test_a_repository_is_built_at_its_commit_and_again_without_a_network(project, hub, hub_environment):
    commit = hub.add("models", "owner/name", files_of(project.parent / "mine"))
    online = hub_environment | {"HF_HUB_OFFLINE": "0"}
    process = doit(project, "convert", "recipe=4bit", "source=owner/name", **online)
    assert process.returncode == 0, process.stdout
    assert read_json(project / "out/name/4bit/recipe.lock")["source"]["revision"] == commit
    hub.add("models", "owner/name", {"README.md": b"moved"})
    moved = doit(project, "convert", "recipe=4bit", "source=owner/name", **online)
    assert moved.returncode != 0
    assert f"stay with source=owner/name@{commit}" in moved.stdout
    offline = doit(project, "convert", "recipe=4bit", "source=owner/name", **online | {"HF_HUB_OFFLINE": "1"})
    assert skipped(offline) == ["fetch:name", "convert:name:4bit"], offline.stdout

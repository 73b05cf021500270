"""What the documents say is so: every command, option, file and recipe that they name exists."""

import re
from pathlib import Path

import pytest
import yaml

from voxbuild.tasks import build, describe, publish, selection, show
from voxrun.cli.main import parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "runtime/README.md", "tiny/README.md", "docs/trust.md"]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def code_of(name):
    """Everything in fenced blocks and in backticks."""
    text = text_of(name)
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documented_tasks_exist(name):
    modules = (build, describe, publish, show)
    known = {task.removeprefix("task_") for module in modules for task in module.__all__}
    named = set(re.findall(r"\bdoit (?:-n 2 )?([a-z]+)\b(?!=)", code_of(name))) - {"list", "explain"}
    assert named <= known


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documented_variables_exist(name):
    assert set(re.findall(r"\bdoit .*?\b(\w+)=", code_of(name))) <= set(selection.VARIABLES)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documented_options_exist(name):
    known = set(parser()._option_string_actions)
    for command in re.findall(r"^voxrun (.*)$", code_of(name), re.MULTILINE):
        assert set(re.findall(r"--[a-z-]+", command)) <= known


@pytest.mark.parametrize("name", DOCUMENTS)
def test_linked_files_exist(name):
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text_of(name)):
        assert (ROOT / name).parent.joinpath(link).exists(), link


def test_the_recipe_in_the_readme_is_the_real_one():
    shown = re.search(r"```yaml\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert yaml.safe_load(shown[1]) == yaml.safe_load(text_of("recipes/4bit.yaml"))


def test_the_readme_tells_what_came_of_every_recipe():
    readme = text_of("README.md")
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert re.search(rf"^\| {recipe.stem} ", readme, re.MULTILINE), recipe.stem


def test_the_ci_script_finds_the_readmes_test_command():
    assert "<!-- test command -->\n```\n" in text_of("README.md")
    assert "README.md" in text_of(".ci/run")


def test_the_compatibility_matrix_has_every_recipe():
    matrix = text_of("docs/compatibility.md")
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert re.search(rf"^\| {recipe.stem} ", matrix, re.MULTILINE), recipe.stem

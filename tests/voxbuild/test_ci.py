"""The CI workflow runs the README's test command and the matrix of `doit matrix`; its commands exist."""

import json
import re

import yaml
from projects import doit, make_project
from small_sources import ROOT

from voxbuild.recipes.book import read_book
from voxbuild.tasks import build, describe, publish, selection, show
from voxrun.cli.options import parser

WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
JOBS = yaml.safe_load(WORKFLOW)["jobs"]


def shell_of(job):
    """What a job runs."""
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def test_the_tests_are_run_by_the_readmes_command():
    assert shell_of("test") == ".ci/run"


def test_the_build_job_runs_what_doit_matrix_prints(tmp_path):
    assert "matrix=$(doit matrix)" in shell_of("recipes")
    assert JOBS["recipes"]["outputs"]["matrix"] == "${{ steps.matrix.outputs.matrix }}"
    assert JOBS["build"]["needs"] == "recipes"
    assert JOBS["build"]["strategy"]["matrix"] == "${{ fromJSON(needs.recipes.outputs.matrix) }}"
    printed = json.loads(doit(make_project(tmp_path / "project"), "matrix").stdout)
    assert {row["recipe"] for row in printed["include"]} == {"2bit", "4bit"}
    assert set(re.findall(r"\bmatrix\.(\w+)", yaml.safe_dump(JOBS["build"]))) <= printed["include"][0].keys()


def test_its_commands_and_files_exist():
    shell = "\n".join(map(shell_of, JOBS))
    modules = (build, describe, publish, show)
    tasks = {
        task.removeprefix("task_") for module in modules for task in vars(module) if task.startswith("task_")
    }
    assert set(re.findall(r"\bdoit (\w+)", shell)) <= tasks
    for line in re.findall(r"\bdoit .*", shell):
        assert set(re.findall(r"\b(\w+)=", line)) <= set(selection.VARIABLES)
    for line in re.findall(r"\bvoxrun .*", shell):
        assert set(re.findall(r" (--[a-z-]+)", line)) <= set(parser()._option_string_actions)
    read_book(ROOT / "recipes").source(*set(re.findall(r"\bsource=(\w+)", shell)))
    assert (ROOT / JOBS["build"]["env"]["CLIP"]).is_file()

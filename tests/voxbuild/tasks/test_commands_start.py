"""What a user of doit waits for before anything happens, and its first words to nobody."""

import os
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from doit import doit_cmd
from doit.loader import load_tasks
from projects import doit_command, make_project

from voxbuild.tasks import build, describe, evaluate, publish, show
from voxbuild.tasks.later import Function, Later

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DOIT = """
import sys
from doit.doit_cmd import DoitMain
code = DoitMain().run(sys.argv[1:])
sys.stdout.flush()
print(code, *sys.modules, file=sys.stderr)
"""
LIBRARIES = {
    "numpy",
    "mlx",
    "mlx.core",
    "numba",
    "huggingface_hub",
    "jinja2",
    "matplotlib",
    "tqdm",
    "tabulate",
}
WORK = {"voxbuild.stages", "voxbuild.plan.planner", "voxbuild.sources.fetch", "voxrun.model.voxtral"}
TASKS = {"pydantic", "voxbuild.tasks.selection", "voxbuild.artifact.variant"}


def doit(*words, stdout=subprocess.PIPE):
    """Run doit in the repository."""
    arguments = [sys.executable, "-c", DOIT, *words]
    return subprocess.run(arguments, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("word", "unused"), [("list", LIBRARIES | WORK), ("help", LIBRARIES | WORK | TASKS)], ids=["list", "help"]
)
def test_what_only_an_action_needs_is_not_imported(word, unused):
    process = doit(word)
    code, *loaded = process.stderr.split()
    assert code == "0"
    assert "build" in process.stdout
    assert "voxbuild.tasks.command_line" in loaded
    assert set(loaded) & unused == set()


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [("list", ""), ("help", ""), ("explain recipes", ""), ("list", "1")],
)
def test_output_that_nobody_reads_or_that_has_no_room_ends_without_a_traceback(
    words, unbuffered, monkeypatch
):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        process = doit(*words.split(), stdout=closed)
    assert process.stderr.startswith("1 ")
    with Path("/dev/full").open("w") as full:
        process = doit(*words.split(), stdout=full)
    said, rest = process.stderr.split("\n", 1)
    assert said == "ERROR: standard output cannot be written (No space left on device)"
    assert rest.startswith("3 ")


def test_another_file_that_cannot_be_written_is_not_called_standard_output(tmp_path):
    make_project(tmp_path)
    limited = ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@"', "sh", *doit_command("recipes")]
    process = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 3
    assert "4bit" in process.stdout
    assert process.stderr == "ERROR: .doit.db.json: File too large\n"


def test_information_about_no_task_is_refused_with_a_hint():
    process = doit("info", "4bit")
    assert process.stderr.startswith("ERROR: 4bit is a recipe, not a task; did you mean: doit info")


def test_functions_that_are_imported_later_are_there_and_can_be_pickled(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(doit_cmd, "_CMDLINE_VARS", {})
    namespace = {}
    for module in (build, describe, evaluate, publish, show):
        namespace |= vars(module)
    named = set()
    for task in load_tasks({name: each for name, each in namespace.items() if name.startswith("task_")}):
        for action in task.actions:
            arguments = [*getattr(action, "args", ()), getattr(action, "py_callable", None)]
            named |= {each for each in arguments if isinstance(each, Function)}
    assert Function("voxbuild.stages", "convert") not in named  # `one_read` calls it
    assert {Function("voxbuild.stages", "validate"), Function("voxbuild.publish.upload", "publish")} <= named
    for each in named:
        assert callable(getattr(import_module(each.module), each.name))
        assert pickle.loads(pickle.dumps(each)) == each


def test_a_function_is_imported_when_it_is_called():
    text = Later("textwrap")
    assert text.indent("a", prefix="- ") == "- a"

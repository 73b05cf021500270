"""The documents and the code agree: what is documented exists, and what exists is documented."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from doit.loader import load_tasks

import voxrun
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import Strict
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.tasks import build, describe, evaluate, publish, selection, show
from voxrun.cli.bench_options import parser as bench_parser
from voxrun.cli.options import parser
from voxrun.cli.parser import Parser
from voxrun.cli.serve_options import parser as server_parser

ROOT = Path(__file__).parents[1]
PATTERNS = (
    *("README.md", "CONTRIBUTING.md", "runtime/*.md", "tiny/*.md", "benchmarks/*.md", "docs/**/*.md"),
    "voxbuild/project/*.md",  # of a new project
)
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for pattern in PATTERNS for path in ROOT.glob(pattern))
KEYS = {"recipe": Recipe, "source": Source, "clip set": ClipSet}
"""Whose keys docs/recipes.md lists, by the end of the heading."""
DOITS_OWN: dict[str, set[str]] = {
    "list": set(),
    "help": set(),
    "explain": set(),
    "clean": {"--all", "--dry-run"},
}
"""Commands that are no tasks, with their options."""
NOT_IN_GIT = {"benchmarks/.envs", "benchmarks/.work", "tiny/4bit"}
PLACEHOLDER = re.compile(r"/[A-Z]+\b(?!\.)")
"""PARSER and NAME in corpus/PARSER/NAME."""
COMMANDS = {"serve": server_parser(), "bench": bench_parser()}
"""Of voxrun, by the first word."""
VARIABLE = re.compile(r"\bVOX[A-Z]+_[A-Z_]+\b")
MODULES = (build, describe, evaluate, publish, show)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_of(name: str) -> list[str]:
    """The lines of fenced blocks, and everything in backticks."""
    text = text_of(name)
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [*"".join(blocks).splitlines(), *re.findall(r"`([^`\n]+)`", prose)]


def calls_of(program: str, name: str) -> list[list[str]]:
    """The arguments of each call of a program in a document's code."""
    calls = (call.split() for line in code_of(name) for call in line.partition(" #")[0].split("&&"))
    return [words[words.index(program) + 1 :] for words in calls if program in words]


def documented(program: str) -> list[list[str]]:
    return [call for name in DOCUMENTS for call in calls_of(program, name)]


def task_of(call: list[str]) -> str | None:
    """The task that a call of doit names: `publish` in `-n 2 publish:4bit recipe=4bit`."""
    words = call[2:] if call[:1] == ["-n"] else call
    return words[0].partition(":")[0] if words and re.match(r"[a-z]+(:|$)", words[0]) else None


def options_in(words: list[str]) -> set[str]:
    return {match[0] for word in words if (match := re.match(r"--[a-z][a-z-]*", word))}


def variables_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"[a-z_]+=", word)}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Each task that people call, with its options."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["doit"])
    monkeypatch.setattr("doit.doit_cmd._CMDLINE_VARS", {})
    namespace = {name: value for module in MODULES for name, value in vars(module).items()}
    found: dict[str, set[str]] = {}
    for task in load_tasks({n: value for n, value in namespace.items() if n.startswith("task_")}):
        options = {f"--{option['long']}" for option in task.params or () if option.get("long")}
        found.setdefault(task.name.partition(":")[0], set()).update(options)
    return {name: options for name, options in found.items() if not name.startswith("_")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documented_doit_commands_exist(name: str, tasks: dict[str, set[str]]) -> None:
    for call in calls_of("doit", name):
        task = task_of(call)
        assert task in {None, *DOITS_OWN, *tasks}, call
        assert variables_in(call) <= set(selection.VARIABLES), call
        assert options_in(call) <= (tasks | DOITS_OWN).get(str(task), set()), call


def test_every_doit_task_is_documented_with_its_options(tasks: dict[str, set[str]]) -> None:
    calls = documented("doit")
    for task, options in (tasks | DOITS_OWN).items():
        assert task in map(task_of, calls)
        told = [options_in(call) for call in calls if task_of(call) == task]
        assert options <= set().union(*told), task


def test_every_variable_of_doit_is_documented() -> None:
    told = [variables_in(call) for call in documented("doit")]
    assert set(selection.VARIABLES) <= set().union(*told)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documented_options_of_voxrun_exist(name: str) -> None:
    for call in calls_of("voxrun", name):
        command = COMMANDS.get(call[0] if call else "", parser())
        assert options_in(call) <= set(command._option_string_actions), call


def test_the_runtimes_readme_documents_the_options_of_voxrun_and_no_others() -> None:
    told = {option for line in code_of("runtime/README.md") for option in options_in(line.split())}
    known = {
        option for command in (parser(), *COMMANDS.values()) for option in command._option_string_actions
    }
    assert told == {option for option in known if option.startswith("--")}


def test_the_runtimes_readme_has_the_servers_options_and_defaults() -> None:
    section = text_of("runtime/README.md").partition("\n## Server\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(--[\w-]+)[^|]*\|(.*)\|$", section, re.MULTILINE))
    options = {
        name: each for name, each in server_parser()._option_string_actions.items() if name[:2] == "--"
    }
    shared = set(parser()._option_string_actions)
    assert rows.keys() | shared >= options.keys() >= rows.keys()
    for name, text in rows.items():
        default = options[name].default
        assert not default or f"`{default:g}`" in text if isinstance(default, int | float) else True, name


def test_the_runtimes_readme_has_the_options_of_bench() -> None:
    section = text_of("runtime/README.md").partition("\n## Speed\n")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE))
    own = {name for name in bench_parser()._option_string_actions if name[:2] == "--"}
    of_the_model = set(parser()._option_string_actions) - {"--audio"}
    assert rows == own - of_the_model


@pytest.mark.parametrize(
    "command", [parser(), server_parser(), bench_parser()], ids=lambda command: command.prog
)
def test_the_help_has_the_exit_codes_of_the_runtimes_readme(command: Parser) -> None:
    heading = {"voxrun": "Options", "voxrun serve": "Server", "voxrun bench": "Speed"}[command.prog]
    section = text_of("runtime/README.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = section.partition("| code | meaning |")[2].partition("\n\n")[0]
    told = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    helped = command.format_help().partition("exit codes:\n")[2]
    assert re.findall(r"^  (\d[\d, ]*?)(?:  |$)", helped, re.MULTILINE) == told != []


def test_the_runtimes_readme_documents_every_public_name() -> None:
    told = {name for line in code_of("runtime/README.md") for name in re.findall(r"\w+", line)}
    assert set(voxrun.__all__) - {"__version__"} <= told


def rows_of(heading: str) -> dict[str, str]:
    """Key -> default, as a table of docs/recipes.md has them."""
    section = text_of("docs/recipes.md").partition(f"\n## Keys of a {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \|[^|]*\| *`?([^|`]*?)`? *\|", section, re.MULTILINE))


def keys_of(kind: type[Strict], above: str = "") -> Iterator[tuple[str, str]]:
    """Key -> default of a section and of those in it, as YAML says them."""
    for name, field in kind.model_fields.items():
        key, section = above + (field.alias or name), section_in(field.annotation)
        yield key, "required" if field.is_required() else in_yaml(field.default)
        if section:
            yield from keys_of(section, f"{key}.")


def section_in(annotation: Any) -> type[Strict] | None:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation
    return next(filter(None, map(section_in, getattr(annotation, "__args__", ()))), None)


def in_yaml(default: Any) -> str:
    if isinstance(default, Strict):
        return ""
    return {None: "none", False: "false", True: "true", (): "[]"}.get(default, str(default))


@pytest.mark.parametrize("heading", KEYS)
def test_documented_keys_and_defaults_are_those_of_the_schema(heading: str) -> None:
    assert rows_of(heading) == dict(keys_of(KEYS[heading]))


def test_documented_environment_variables_are_those_that_are_read() -> None:
    sources = [path for folder in ("voxbuild", "runtime/voxrun") for path in (ROOT / folder).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r'"(VOX[A-Z]+_[A-Z_]+)"', path.read_text())}
    assert {name for document in DOCUMENTS for name in VARIABLE.findall(text_of(document))} == read


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", [*DOCUMENTS, "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    for link, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", text_of(name)):
        path = (ROOT / name).parent / link if link else ROOT / name
        assert path.exists(), link
        assert not anchor or anchor in anchors_of(path), f"{link}#{anchor}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_files_exist(name: str) -> None:
    """Paths in code that begin with a folder of the repository; a star stands for any name."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"out"}
    for line in code_of(name):
        for path in re.findall(r"(?<![\w./-])[\w.-]+/[\w./*-]*", line):
            known = path.strip("./") in NOT_IN_GIT or PLACEHOLDER.search(path)
            if path.partition("/")[0] in folders and not known:
                assert any(ROOT.glob(path.rstrip("/."))), path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_definitions_exist(name: str) -> None:
    """`path.py: Class.method` is in that file."""
    for code in code_of(name):
        if match := re.fullmatch(r"([\w/]+\.py): ([\w.]+)", code):
            text = text_of(match[1])
            for part in match[2].split("."):
                assert re.search(rf"^ *((async def|def|class) {part}\b|{part}\b.* = )", text, re.MULTILINE), (
                    code
                )


@pytest.mark.parametrize("package", ["voxbuild", "runtime/voxrun"])
def test_the_architecture_shows_every_wing(package: str) -> None:
    tree = text_of("docs/architecture.md").partition(f"\n{package}/\n")[2].partition("\n\n")[0]
    shown = re.findall(r"^  ([\w.]+/?)  ", tree, re.MULTILINE)
    parts = [path for path in (ROOT / package).iterdir() if not path.name.startswith("__")]
    wings = {f"{path.name}/" if path.is_dir() else path.name for path in parts if path.name != "py.typed"}
    assert set(shown) == wings


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 130


def test_the_recipe_in_the_readme_is_the_real_one() -> None:
    shown = re.search(r"```yaml\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert shown is not None
    assert yaml.safe_load(shown[1]) == yaml.safe_load(text_of("recipes/4bit.yaml"))


@pytest.mark.parametrize("document", ["docs/results.md", "docs/compatibility.md"])
def test_tables_have_a_row_for_every_recipe(document: str) -> None:
    table = text_of(document)
    for recipe in (ROOT / "recipes").glob("*.yaml"):
        assert re.search(rf"^\| {recipe.stem} ", table, re.MULTILINE), recipe.stem


def test_the_ci_script_finds_the_readmes_test_command() -> None:
    assert "<!-- test command -->\n```\n" in text_of("README.md")
    assert "README.md" in text_of(".ci/run")

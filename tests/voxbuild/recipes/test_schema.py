"""Any YAML file is valid or raises one RecipeError with file and line, never a traceback."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from voxbuild.errors import RecipeError
from voxbuild.recipes.schema import MAX_BYTES, MAX_NODES, FieldError, Strict, load, load_folder, place
from voxrun.messages import MAX_MESSAGE


class Part(Strict):
    size: int
    colour: str | None = None


class Thing(Strict):
    name: str
    part: Part
    others: tuple[Part, ...] = ()
    weight: float = 1.0


GOOD = """\
name: thing
# a comment moves the lines
part:
  size: 3
others:
  - {size: 1}
  - size: 2
    colour: red
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "thing.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(folder: Path, text: str | bytes) -> str:
    """The one line that loading ends with, the file's name at its start cut to thing.yaml."""
    with pytest.raises(RecipeError) as caught:
        load(write(folder, text), Thing)
    said = str(caught.value)
    assert said.startswith(str(folder / "thing.yaml"))
    return said.removeprefix(f"{folder}/")


def test_a_good_file_becomes_an_immutable_section(tmp_path):
    thing = load(write(tmp_path, GOOD), Thing)
    assert thing == Thing(
        name="thing", part=Part(size=3), others=(Part(size=1), Part(size=2, colour="red")), weight=1.0
    )
    with pytest.raises(ValueError, match="frozen"):
        thing.name = "other"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("colour: red", "color: red", "thing.yaml:8: unknown key others.1.color (did you mean colour?)"),
        ("part:", "prat:", "thing.yaml:3: unknown key prat (did you mean part?)"),
        ("part:", "zzz: 1\npart:", "thing.yaml:3: unknown key zzz; allowed: name, others, part, weight"),
        ("  size: 3", "  colour: red", "thing.yaml:3: the key part.size is missing"),
        ("size: 3", "size: '3'", 'thing.yaml:4: part.size: Input should be a valid integer (found: "3")'),
        ("size: 3", "size: 3.5", "thing.yaml:4: part.size: Input should be a valid integer"),
        ("size: 3", "size: true", "thing.yaml:4: part.size: Input should be a valid integer (found: true)"),
        ("{size: 1}", "{size: x}", "thing.yaml:6: others.0.size: "),
        ("colour: red", "colour: [red]", "thing.yaml:8: others.1.colour: "),
        (
            "  size: 3",
            "  size: 3\n  colour:",
            "thing.yaml:5: the key part.colour is empty; leave it out",
        ),
        ("colour: red", "colour: null", "thing.yaml:8: the key others.colour is empty; leave it out for its"),
        ("size: 3", "size: 3\n  size: 4", "thing.yaml:5: the key size is repeated"),
        ("{size: 1}", "{size: 1, size: 2}", "thing.yaml:6: the key size is repeated"),
        ("name: thing", "name: thong", "thing.yaml: its name must be that of the file, thing"),
        ("name: thing", "name: {a: {b: c", "not valid YAML: "),
        ("  size: 3", "\tsize: 3", "thing.yaml:4: not valid YAML: "),
    ],
)
def test_each_mistake_is_reported_with_its_line(tmp_path, old, new, expected):
    assert GOOD.count(old) == 1
    said = message(tmp_path, GOOD.replace(old, new))
    assert expected in said
    assert "\n" not in said


LAUGHS = "a: &a [x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in pairwise("abcdefghijk")
)
"""Ten thousand million times x, by aliases."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "- a\n- b\n",
        "just words",
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "a: " + "[" * 3000 + "]" * 3000,
        "? [a, b]\n: 1\n",
        "? {a: b}\n: 1\n",
        GOOD + "2020-01-01: x\n",
        GOOD + "1: x\n",
        GOOD + "null: x\n",
        GOOD + "yes: x\n",
        GOOD + "<<: 5\n",
        GOOD + "---\nname: thing\n",
        GOOD.replace("name: thing", "name: 2020-13-45"),
        GOOD.replace("size: 3", "size: !!int x"),
        GOOD.replace("size: 3", "size: !!bool x"),
        GOOD.replace("size: 3", "size: !!python/object:os.system x"),
        GOOD.replace("size: 3", "size: !!set {a, b}"),
        GOOD.replace("size: 3", "size: " + "9" * 5000),
        GOOD.replace("size: 3", "size: .nan"),
        GOOD.replace("name: thing", 'name: "\\ud800"'),
        GOOD.replace("name: thing", "name: \x01"),
        b"\xff\xfe\x00name",
        "[" * 200_000,
        "- " * 100_000 + "a",
        "{a: " * 60_000,
        "? " * 100_000,
        "a: !!int\n",
        "a: !!timestamp x\n",
        "# " + "x" * MAX_BYTES,
        GOOD + "x" * 100_000 + ": 1\n",
        GOOD + "? |\n  two\n  lines\n: 1\n",
        GOOD + "int: 1\n",
        GOOD + "a[b: 1\n",
        LAUGHS,
        LAUGHS.replace("[", "{<<: [").replace("]", "]}").replace("{<<: [x]}", "{x: 1}"),
        "a: [" + "x, " * MAX_NODES + "x]\n",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_hostile_yaml_is_refused_without_a_traceback(tmp_path, text):
    said = message(tmp_path, text)
    assert "\n" not in said
    assert len(said) <= MAX_MESSAGE


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "thing.yaml")
    with pytest.raises(RecipeError, match="not a regular file"):
        load(tmp_path / "thing.yaml", Thing)


def test_an_unreadable_file_is_reported(tmp_path):
    (tmp_path / "thing.yaml").mkdir()
    with pytest.raises(RecipeError, match=r"thing\.yaml: cannot be read"):
        load(tmp_path / "thing.yaml", Thing)


def test_anchors_and_merges_are_plain_yaml(tmp_path):
    text = "name: thing\npart: &p {size: 3}\nothers: [*p, {<<: *p, colour: red}]\n"
    assert load(write(tmp_path, text), Thing).others == (Part(size=3), Part(size=3, colour="red"))


def test_a_folder_is_read_in_alphabetical_order(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\npart: {{size: 1}}\n")
    (tmp_path / "note.txt").write_text("no recipe")
    assert list(load_folder(tmp_path, Thing)) == ["a", "b", "c"]


def test_place_finds_the_line_of_the_deepest_existing_part(tmp_path):
    path = write(tmp_path, GOOD)
    assert place(path, "others", 1, "colour") == f"{path}:8"
    assert place(path, "part", "weight") == f"{path}:3"
    assert place(path) == f"{path}:1"


def test_a_long_value_is_shortened(tmp_path):
    said = message(tmp_path, GOOD.replace("size: 3", f"size: {'x' * 500}"))
    assert re.search(r'found: "x{10,}\.\.\.\)$', said)
    assert len(said) < 200


def test_a_field_error_says_where():
    assert FieldError("odd", "rules", 0).where == ("rules", 0)


def test_a_value_with_quadratic_parsing_time_is_refused(tmp_path):
    """YAML 1.1 takes 1:1:1 for a number of base 60."""
    for quote in ("", "!!int "):
        text = f"name: {quote}{'1:' * 10_000}1"
        assert "a value of 20,001 characters" in message(tmp_path, text)

"""Strict YAML: each error is one message with the file, the line and what is allowed."""

import difflib
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from voxbuild.errors import RecipeError
from voxrun.files.paths import StrictError, is_plain, read_bytes
from voxrun.files.strict import MAX_DEPTH
from voxrun.messages import sentence, shown

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader, which is faster, if PyYAML was built with it."""
MAX_BYTES = 2**18
"""Limit of a YAML file; ours have about 2 kB."""
MAX_NODES = 20_000
"""Limit of values in a YAML file, counting those repeated by aliases."""
MAX_SCALAR = 10_000
"""Characters of a single value."""
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What PyYAML raises besides YAMLError: for invalid dates and numbers, or a tag without a value."""
MEANT_BY_NO_KEY = {"quantize": "unquantized weights"}
"""What a key left out means, where that is not a default value."""
UNITS = {"MB": 10**6, "GB": 10**9}
MAX_GUESSED = 50
"""Characters of an unknown key that are compared with the known keys."""


def _plain_path(name: str) -> str:
    if not is_plain(name) or not name.isprintable():
        raise ValueError("not a path within its folder")
    return name


FileName = Annotated[str, pydantic.Field(pattern=r"^\w[\w.+-]*$", max_length=200)]
"""The name of a file or a folder; not a path."""
FilePath = Annotated[str, pydantic.Field(max_length=500), pydantic.AfterValidator(_plain_path)]
"""A path within a given folder."""


class Strict(pydantic.BaseModel):
    """A section of a YAML file: no unknown keys, no silent conversions, immutable."""

    # A section within another one is never read alone, so no validator of its own is built for it.
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def size_in_bytes(text: str) -> int:
    """A number with a unit of UNITS, like 2.2GB, in bytes, rounded down."""
    return int(Decimal(text[:-2]) * UNITS[text[-2:]])


class FieldError(ValueError):
    """Raised by a section's validator; `where` is the path from the section to the wrong value."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


Section = TypeVar("Section", bound=Strict)


def load(path: Path, kind: type[Section]) -> Section:
    """Read one YAML file as `kind`. Raises RecipeError with the line of the first error."""
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
        _check_events(text)
        tree = yaml.compose(text, Loader=LOADER)
        _count_nodes(tree, {})
        # pydantic's JSON mode accepts a list for a tuple, but not "4" for a number.
        data = json.dumps(yaml.load(text, Loader=LOADER), default=str)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    except StrictError as error:
        raise RecipeError(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise RecipeError(sentence(f"{path}{line}: not valid YAML: {problem}")) from error
    except UNREADABLE as error:
        raise RecipeError(sentence(f"{path}: not valid YAML: {error}")) from error
    _refuse_doubled_keys(path, tree)
    try:
        section = kind.model_validate_json(data)
    except pydantic.ValidationError as error:
        raise RecipeError(sentence(_message(path, tree, kind, error))) from error
    _refuse_empty_keys(path, tree)
    if getattr(section, "name", path.stem) != path.stem:
        raise RecipeError(f"{path}: its name must be that of the file, {path.stem}")
    return section


def parse_yaml(text: str) -> Any:
    """The value of an untrusted YAML text. Raises StrictError, yaml.YAMLError and those in UNREADABLE."""
    _check_events(text)
    _count_nodes(yaml.compose(text, Loader=LOADER), {})
    return yaml.load(text, Loader=LOADER)


def load_folder(folder: Path, kind: type[Section]) -> dict[str, Section]:
    """Every YAML file of a folder by its name, in alphabetical order. Raises RecipeError."""
    if not folder.is_dir():
        raise RecipeError(f"{folder}: there is no such folder")
    if other := sorted(folder.glob("*.yml")):
        raise RecipeError(f"{other[0]}: rename it to .yaml, or it is not read")
    return {path.stem: load(path, kind) for path in sorted(folder.glob("*.yaml"))}


def place(path: Path, *where: str | int) -> str:
    """FILE:LINE of a value in a YAML file that was loaded."""
    return f"{path}:{_line(yaml.compose(path.read_text(encoding='utf-8'), Loader=LOADER), where)}"


def _check_events(text: str) -> None:
    """Raises StrictError for deep nesting, which would crash libyaml's composer, and for long values.

    PyYAML needs quadratic time for a long sexagesimal number (1:1:1 in YAML 1.1).
    """
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR:
            raise StrictError(f"a value of {len(event.value):,} characters; the limit is {MAX_SCALAR:,}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise StrictError(f"nested deeper than {MAX_DEPTH} levels")


def _count_nodes(node: yaml.Node | None, known: dict[int, int]) -> int:
    """The number of values below a node with all aliases expanded. Raises StrictError if it is too large."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_NODES  # an alias within its own anchor would recurse forever
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count_nodes(part, known) for part in parts)
    if known[id(node)] > MAX_NODES:
        raise StrictError(f"more than {MAX_NODES:,} values, or aliases that repeat each other")
    return known[id(node)]


def _refuse_doubled_keys(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise RecipeError(
                    sentence(f"{path}:{key.start_mark.line + 1}: the key {key.value} is repeated")
                )
            seen.add(key.value)
            _refuse_doubled_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_doubled_keys(path, item)


def _refuse_empty_keys(path: Path, node: yaml.Node | None, *above: str) -> None:
    """A key without a value looks as if it said something, but means the same as no key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if value.tag == "tag:yaml.org,2002:null":
                name = ".".join((*above, key.value))
                where, use = f"{path}:{key.start_mark.line + 1}", MEANT_BY_NO_KEY.get(name, "its default")
                raise RecipeError(sentence(f"{where}: the key {name} is empty; leave it out for {use}"))
            _refuse_empty_keys(path, value, *above, key.value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_empty_keys(path, item, *above)


def _message(path: Path, tree: yaml.Node | None, kind: type[Strict], error: pydantic.ValidationError) -> str:
    """The first error, but an unknown key before others: a mistyped key is also reported as missing."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    cause = first.get("ctx", {}).get("error")
    inner = cause.where if isinstance(cause, FieldError) else ()
    unknown = len(first["loc"]) - 1 if first["type"] == "extra_forbidden" else None  # may have any name
    named = (part for i, part in enumerate(first["loc"]) if i == unknown or not _is_union_tag(part))
    where = [*named, *inner]
    line = _line(tree, where)
    key = ".".join(str(part) for part in where)
    if first["type"] == "extra_forbidden":
        allowed = _allowed(kind, where[:-1])
        guess = difflib.get_close_matches(str(where[-1])[:MAX_GUESSED], allowed, 1)
        hint = f" (did you mean {guess[0]}?)" if guess else ""
        return f"{path}:{line}: unknown key {key}{hint}; allowed: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"{path}:{line}: the key {key} is missing"
    at = f"{key}: " if key else ""
    found = "" if inner else f" (found: {_short(first['input'])})"
    return f"{path}:{line}: {at}{first['msg'].removeprefix('Value error, ')}{found}"


def _is_union_tag(part: Any) -> bool:
    return isinstance(part, str) and ("[" in part or part in ("float", "int", "str", "bool"))


def _short(value: Any) -> str:
    if isinstance(value, list | dict):
        return shown(value)
    text = json.dumps(value, default=str)
    return text if len(text) < 60 else text[:57] + "..."


def _line(node: yaml.Node | None, where: Sequence[str | int]) -> int:
    """The line of the deepest part of the path `where` that is in the file."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _allowed(kind: type[Strict], where: list[Any]) -> list[str]:
    """The keys of the section at `where`."""
    section: Any = kind
    for part in where:
        if isinstance(part, str):
            field = next(f for n, f in section.model_fields.items() if part in (n, f.alias))
            section = _section_of(field.annotation)
    return sorted(field.alias or name for name, field in section.model_fields.items())


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation
    inner = (_section_of(a) for a in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)


def known_names(names: Iterable[str]) -> str:
    """The known names, for the end of a message."""
    return f"known: {', '.join(names)}"

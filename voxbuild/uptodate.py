"""When a task need not run again, for the price of a few stats: doit's own check would hash gigabytes."""

from pathlib import Path
from typing import Any

from .actions import workspace
from .errors import VoxbuildError
from .fetch import Fetched
from .making import tool_versions
from .manifest import Manifest
from .workspace import read_json, sha256_of, stamp

Values = dict[str, Any]


def source_untouched(task: Any, values: Values, source: str, folder: str | None) -> bool:
    """All source files are as they were when hashed, and in `folder` (None: wherever the Hub's cache is)."""
    path = workspace().source_file(source)
    if not path.is_file():
        return False
    fetched = Fetched.load(path)
    return fetched.untouched() and folder in (None, str(fetched.folder))


def unedited(task: Any, values: Values, path: str) -> bool:
    """A file is as its task wrote it: doit itself watches what a task reads, not what it makes."""
    task.value_savers.append(lambda: {"written": _hash(path)})
    return _hash(path) is not None and values.get("written") == _hash(path)


def _hash(path: str) -> str | None:
    return sha256_of(Path(path)) if Path(path).is_file() else None


def same_tools(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The plan was made by the versions that run now."""
    path = workspace().plan_file(source, recipe)
    return path.is_file() and bool(read_json(path)["tools"] == tool_versions())


def weights_untouched(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The artifact's files carry the stamps of its conversion; where one moved, its hash decides."""
    task.value_savers.append(lambda: {"stamps": _stamps(source, recipe)})
    stamps = values.get("stamps")
    if not stamps:
        return False
    if stamps == _stamps(source, recipe):
        return True
    folder = workspace().artifact(source, recipe)
    try:
        manifest = Manifest.load(folder)
    except VoxbuildError:
        return False
    return not manifest.damaged(folder, manifest.weight_files)


def is_validated(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The manifest is the completed one."""
    try:
        return Manifest.load(workspace().artifact(source, recipe)).validated
    except VoxbuildError:
        return False


def _stamps(source: str, recipe: str) -> dict[str, list[int]]:
    """The stamps of the files that conversion made; none if one is gone."""
    folder = workspace().artifact(source, recipe)
    try:
        return {n: stamp(folder / n) for n in Manifest.load(folder).weight_files}
    except (OSError, VoxbuildError):
        return {}

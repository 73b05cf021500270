"""When a task need not run again, for the price of a few stats: doit's own check would hash gigabytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .actions import workspace
from .errors import VoxbuildError
from .fetch import Fetched
from .manifest import Manifest
from .stages import tool_versions
from .workspace import read_json, sha256_of, stamp

Values = dict[str, Any]
Stamps = dict[str, list[int]]
Files = Callable[[Manifest], list[str]]


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
    folder = workspace().artifact(source, recipe)
    task.value_savers.append(lambda: {"stamps": _stamps(folder, _conversions)})
    return _untouched(folder, _conversions, values.get("stamps"))


def views_untouched(task: Any, values: Values, source: str, names: list[str]) -> bool:
    """All views are there, and what was said of conversions is true of all their files."""
    folders = {name: workspace().artifact(source, name) for name in names}
    task.value_savers.append(lambda: {"stamps": {n: _stamps(f, _everything) for n, f in folders.items()}})
    stamps = values.get("stamps") or {}
    return all(_untouched(folder, _everything, stamps.get(name)) for name, folder in folders.items())


def is_validated(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The manifest is the completed one."""
    try:
        return Manifest.load(workspace().artifact(source, recipe)).validated
    except VoxbuildError:
        return False


def _conversions(manifest: Manifest) -> list[str]:
    """The files that conversion made."""
    return list(manifest.weight_files)


def _everything(manifest: Manifest) -> list[str]:
    return list(manifest.files)


def _untouched(folder: Path, files: Files, stamps: Stamps | None) -> bool:
    if not stamps:
        return False
    if stamps == _stamps(folder, files):
        return True
    try:
        manifest = Manifest.load(folder)
    except VoxbuildError:
        return False
    return not manifest.damaged(folder, files(manifest))


def _stamps(folder: Path, files: Files) -> Stamps:
    """The stamps of some of a manifest's files; none if one is gone."""
    try:
        return {name: stamp(folder / name) for name in files(Manifest.load(folder))}
    except (OSError, VoxbuildError):
        return {}

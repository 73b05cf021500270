"""When a task need not run again, for the price of a few stats: doit's own check would hash gigabytes."""

from pathlib import Path
from typing import Any

from .actions import workspace
from .errors import VoxbuildError
from .fetch import Fetched
from .lock import drift
from .making import tool_versions
from .manifest import Manifest
from .workspace import read_json, sha256_of, stamp

Values = dict[str, Any]
WHY = "why"
"""In a task's meta: what its checks objected to, a phrase each. `doit explain` tells it."""


def _stale(task: Any, reason: str) -> bool:
    """False, with the reason left on the task."""
    meta = task.meta or {}
    task.meta = meta | {WHY: [*meta.get(WHY, ()), reason]}
    return False


def source_untouched(task: Any, values: Values, source: str, folder: str | None) -> bool:
    """All source files are as they were when hashed, and in `folder` (None: wherever the Hub's cache is)."""
    path = workspace().source_file(source)
    if not path.is_file():
        return _stale(task, f"the source {source} was not fetched")
    fetched = Fetched.load(path)
    if touched := fetched.touched():
        return _stale(task, f"{', '.join(touched)} in {fetched.folder} changed or went away")
    if folder not in (None, str(fetched.folder)):
        return _stale(task, f"the source {source} is in {folder} now, no more in {fetched.folder}")
    return True


def unedited(task: Any, values: Values, path: str) -> bool:
    """A file is as its task wrote it: doit itself watches what a task reads, not what it makes."""
    task.value_savers.append(lambda: {"written": _hash(path)})
    found = _hash(path)
    if found is None or values.get("written") != found:
        return _stale(task, f"{path} is not as it was written" if found else f"{path} is missing")
    return True


def _hash(path: str) -> str | None:
    return sha256_of(Path(path)) if Path(path).is_file() else None


def same_tools(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The plan was made by the versions that run now."""
    path = workspace().plan_file(source, recipe)
    if not path.is_file():
        return _stale(task, f"{path} is missing")
    was, now = read_json(path)["tools"], tool_versions()
    if was != now:
        return _stale(task, f"other tools: {', '.join(drift(was, now))}")
    return True


def weights_untouched(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The artifact's files carry the stamps of its conversion; where one moved, its hash decides."""
    task.value_savers.append(lambda: {"stamps": _stamps(source, recipe)})
    stamps, folder = values.get("stamps"), workspace().artifact(source, recipe)
    if not stamps:
        return _stale(task, f"{folder} was not converted")
    if stamps == _stamps(source, recipe):
        return True
    try:
        manifest = Manifest.load(folder)
    except VoxbuildError as error:
        return _stale(task, str(error))
    if damaged := manifest.damaged(folder, manifest.weight_files):
        return _stale(task, f"{', '.join(damaged)} in {folder} missing, or not as converted")
    return True


def is_validated(task: Any, values: Values, source: str, recipe: str) -> bool:
    """The manifest is the completed one."""
    folder = workspace().artifact(source, recipe)
    try:
        return Manifest.load(folder).validated or _stale(task, f"{folder} is not marked validated")
    except VoxbuildError as error:
        return _stale(task, str(error))


def _stamps(source: str, recipe: str) -> dict[str, list[int]]:
    """The stamps of the files that conversion made; none if one is gone."""
    folder = workspace().artifact(source, recipe)
    try:
        return {n: stamp(folder / n) for n in Manifest.load(folder).weight_files}
    except (OSError, VoxbuildError):
        return {}

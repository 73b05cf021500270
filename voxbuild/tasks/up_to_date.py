"""When a task need not run again, for the price of a few stats: doit's own check would hash gigabytes."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxbuild.artifact.lock import drift
from voxbuild.artifact.manifest import MANIFEST, Manifest
from voxbuild.artifact.signature import faults
from voxbuild.artifact.tools import tool_versions
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_state, stamp, write_json
from voxbuild.sources.fetch import Fetched
from voxrun.files.hashes import sha256_of

from .actions import workspace

Values = dict[str, Any]
WHY = "why"
"""In a task's meta: what its checks objected to, a phrase each. `doit explain` tells it."""


def _stale(task: Any, reason: str) -> bool:
    """False, with the reason left on the task."""
    meta = task.meta or {}
    task.meta = meta | {WHY: [*meta.get(WHY, ()), reason]}
    return False


Stamps = dict[str, list[int]]
Files = Callable[[Manifest], list[str]]


def source_untouched(task: Any, values: Values, source: str, folder: str | None) -> bool:
    """All source files are as they were when hashed, and in `folder` (None: wherever the Hub's cache is)."""
    path = workspace().source_file(source)
    if not read_state(path):
        return _stale(task, f"the source {source} was not fetched")
    fetched = Fetched.load(path)
    if touched := fetched.touched():
        return _stale(task, f"{', '.join(touched)} in {fetched.folder} changed or went away")
    if folder not in (None, str(fetched.folder)):
        return _stale(task, f"the source {source} is in {folder} now, no more in {fetched.folder}")
    return True


def unedited(task: Any, values: Values, *paths: str) -> bool:
    """Files are as their task wrote them: doit itself watches what a task reads, not what it makes."""
    task.value_savers.append(lambda: {"hashes": {path: _hash(path) for path in paths}})
    written = values.get("hashes") or {}
    for path in paths:
        found = _hash(path)
        if found is None or written.get(path) != found:
            return _stale(task, f"{path} is not as it was written" if found else f"{path} is missing")
    return True


def _hash(path: str) -> str | None:
    return sha256_of(Path(path)) if Path(path).is_file() else None


def same_tools(task: Any, values: Values, path: str) -> bool:
    """The plan was made by the versions that run now."""
    if not (plan := read_state(Path(path))):
        return _stale(task, f"{path} is missing")
    was, now = plan["tools"], tool_versions()
    if was != now:
        return _stale(task, f"other tools: {', '.join(drift(was, now))}")
    return True


def weights_untouched(task: Any, values: Values, path: str) -> bool:
    """The artifact's files carry the stamps of its conversion; where one moved, its hash decides.

    What the manifest tells of the conversion, nobody else could write again: it is as it was.
    """
    folder = workspace().root / path
    task.value_savers.append(lambda: {"stamps": _stamps(folder, _conversions), "facts": _facts(folder)})
    if not _untouched(task, folder, _conversions, values.get("stamps")):
        return False
    edited = values.get("facts") != _facts(folder)
    return not edited or _stale(task, f"{folder / MANIFEST} says something else than conversion wrote")


def views_untouched(task: Any, values: Values, paths: list[str]) -> bool:
    """All views are there, and what was said of conversions is true of all their files."""
    folders = {Path(path).name: workspace().root / path for path in paths}

    def now(told: Callable[[Path], Any]) -> dict[str, Any]:
        return {name: told(folder) for name, folder in folders.items()}

    stamps = values.get("stamps") or {}
    task.value_savers.append(lambda: {"stamps": now(_everything_stamped), "facts": now(_facts)})
    if not all(_untouched(task, folders[name], _everything, stamps.get(name)) for name in folders):
        return False
    edited = values.get("facts") != now(_facts)
    return not edited or _stale(task, f"the manifests of {', '.join(folders)} are not as they were written")


def is_validated(task: Any, values: Values, path: str) -> bool:
    """The manifest is the completed one."""
    folder = workspace().root / path
    try:
        return Manifest.load(folder).validated or _stale(task, f"{folder} is not marked validated")
    except VoxbuildError as error:
        return _stale(task, str(error))


def is_signed(task: Any, values: Values, folders: list[str], public_key: str) -> bool:
    """All folders are signed, as they are, with the other half of the public key."""
    found = [fault for folder in folders for fault in faults(Path(folder), Path(public_key))]
    return not found or _stale(task, "; ".join(found))


def _conversions(manifest: Manifest) -> list[str]:
    """The files that conversion made."""
    return list(manifest.weight_files)


def _everything(manifest: Manifest) -> list[str]:
    return list(manifest.files)


def _untouched(task: Any, folder: Path, files: Files, stamps: Stamps | None) -> bool:
    if not stamps:
        return _stale(task, f"{folder} was not made")
    now = _stamps(folder, files)
    if stamps == now or (now and read_state(workspace().stamps_file(folder)) == now):
        return True
    try:
        manifest = Manifest.load(folder)
    except VoxbuildError as error:
        return _stale(task, str(error))
    if damaged := manifest.damaged(folder, files(manifest)):
        return _stale(task, f"{', '.join(damaged)} in {folder} missing, or not as they were made")
    write_json(workspace().stamps_file(folder), now)  # doit stores nothing about a task that did not run
    return True


def _facts(folder: Path) -> str | None:
    """A hash of what a manifest tells of the conversion; None if there is none to read."""
    try:
        return sha256(Manifest.load(folder).as_converted.text.encode()).hexdigest()
    except VoxbuildError:
        return None


def _everything_stamped(folder: Path) -> Stamps:
    return _stamps(folder, _everything)


def _stamps(folder: Path, files: Files) -> Stamps:
    """The stamps of some of a manifest's files; none if one is gone."""
    try:
        return {name: stamp(folder / name) for name in files(Manifest.load(folder))}
    except (OSError, VoxbuildError):
        return {}

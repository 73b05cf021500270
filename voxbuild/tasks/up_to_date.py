"""Whether a task is up to date, by file stamps where doit's own check would hash gigabytes.

Checks import what only they need: doit's commands that show tasks load this module, and check nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any

from voxbuild.artifact.evaluated import evaluated
from voxbuild.artifact.manifest import EVALUATION, MANIFEST, Manifest
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_state, stamp, to_json, write_json
from voxbuild.plan.ways import DISK
from voxrun.files.hashes import sha256_of

from .actions import read, variant_of, workspace

Values = dict[str, Any]
WHY = "why"
"""In a task's meta: why its checks failed, a phrase each, for `doit explain`."""
SHORT = 60
"""Characters of two values up to which both are said."""
Stamps = dict[str, list[int]]
Files = Callable[[Manifest], Iterable[str]]
WEIGHT_FILES: Files = attrgetter("weight_files")
ALL_FILES: Files = attrgetter("files")


def _stale(task: Any, reason: str) -> bool:
    """Note the reason on the task; return False."""
    meta = task.meta or {}
    task.meta = meta | {WHY: [*meta.get(WHY, ()), reason]}
    return False


def source_untouched(task: Any, values: Values, source: str, how: str) -> bool:
    """Whether all source files, and its adapter's, are unchanged, and where they were; `how`: see fetch=."""
    from voxbuild.sources.fetch import Fetched

    path = workspace().source_file(source)
    if not read_state(path):
        return _stale(task, f"the source {source} was not fetched")
    fetched = Fetched.load(path)
    if how == DISK and fetched.streamed:
        return _stale(task, f"{', '.join(fetched.streamed)} of the source {source} was streamed")
    if touched := fetched.touched():
        return _stale(task, f"{', '.join(touched)} of the source {source} changed or missing")
    if moved := fetched.moved(read().source(source), workspace().recipes / "sources"):
        return _stale(task, f"the source {source} moved {moved}")
    return True


def same_facts(task: Any, values: Values, facts: Mapping[str, Any]) -> bool:
    """Whether the facts that the task depends on, see `reads`, are as they were."""
    task.value_savers.append(lambda: {"reads": facts})
    was = values.get("reads")
    if was is None:
        return _stale(task, "an older voxbuild did not record what it reads")
    changes = list(_changed_facts(was, facts))
    return not changes or _stale(task, "; ".join(changes))


def _changed_facts(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for each fact that changed, with both values if they are short."""
    for name in sorted(was.keys() | now.keys()):
        before, after = (json.dumps(side[name]) if name in side else "missing" for side in (was, now))
        if before != after:
            short = len(before + after) <= SHORT
            yield f"{name} was {before}, is {after}" if short else f"{name} changed"


def same_recordings(task: Any, values: Values, clip_sets: Sequence[str]) -> bool:
    """Whether the files of clip sets have the same content, wherever they are.

    A file with the stamp that it had when the task ran is not hashed again.
    """
    known = values.get("recordings") or {}
    now = {name: _recorded(path, known.get(name)) for name, path in recordings(clip_sets).items()}
    task.value_savers.append(lambda: {"recordings": now})
    changes = list(_changed_recordings(known, now))
    return not changes or _stale(task, "; ".join(changes))


def recordings(clip_sets: Sequence[str]) -> dict[str, Path]:
    """The recordings and transcripts of clip sets that are in local folders: SET/FILE -> path."""
    sets, base = {name: read().clips[name].corpus for name in clip_sets}, workspace().clips
    return {f"{name}/{path.name}": path for name, corpus in sets.items() for path in corpus.files(base)}


def _recorded(path: Path, known: Values | None) -> Values:
    """Stamp and hash of a file; `known`: what they were."""
    found = stamp(path)
    return known if known and known["stamp"] == found else {"stamp": found, "sha256": sha256_of(path)}


def _changed_recordings(was: Mapping[str, Values], now: Mapping[str, Values]) -> Iterator[str]:
    for name in sorted(was.keys() | now.keys()):
        if name not in now:
            yield f"{name} is missing"
        elif name not in was:
            yield f"it now reads {name} too"
        elif was[name]["sha256"] != now[name]["sha256"]:
            yield f"{name} changed"


def unedited(task: Any, values: Values, *paths: str) -> bool:
    """Whether files are as their task wrote them; doit itself only checks the files that a task reads."""
    task.value_savers.append(lambda: {"hashes": {path: _hash(path) for path in paths}})
    written = values.get("hashes") or {}
    for path in paths:
        found = _hash(path)
        if found is None or written.get(path) != found:
            return _stale(task, f"{path} was edited" if found else f"{path} is missing")
    return True


def _hash(path: str) -> str | None:
    return sha256_of(Path(path)) if Path(path).is_file() else None


def same_evaluation(task: Any, values: Values, source: str, recipe: str) -> bool:
    """Whether evaluation.json in the artifact's folder is what the last evaluation says of its weights."""
    variant = variant_of(source, recipe)
    task.value_savers.append(lambda: {"evaluation": _evaluation(variant)})
    now = _evaluation(variant)
    if values.get("evaluation") != now:
        return _stale(task, "its weights were evaluated otherwise" if now else "its evaluation is gone")
    written = variant.folder / EVALUATION
    return _hash(str(written)) == now or _stale(task, f"{written} was edited")


def _evaluation(variant: Variant) -> str | None:
    """The hash of what the last evaluation says of the weights that are there; None: nothing."""
    found = evaluated(variant, Manifest.load(variant.folder)) if variant.is_built else None
    return sha256(to_json(found).encode()).hexdigest() if found else None


def same_tools(task: Any, values: Values, path: str) -> bool:
    """Whether the plan was made by the current versions of the tools."""
    from voxbuild.artifact.lock import drift

    if not (plan := read_state(Path(path))):
        return _stale(task, f"{path} is missing")
    was, now = plan["tools"], tool_versions()
    if was != now:
        return _stale(task, f"other tools: {', '.join(drift(was, now))}")
    return True


def is_unquantized(task: Any, values: Values, source: str) -> bool:
    """Whether voxrun can read the source, or its unquantized copy is there as it was written."""
    from voxbuild.convert import readable

    if not read_state(workspace().source_file(source)):
        return _stale(task, f"the source {source} was not fetched")
    if readable.is_unquantized(workspace(), read().source(source)):
        return True
    folder = workspace().unquantized(source)
    return _stale(task, f"{folder} {'was changed' if folder.is_dir() else 'is missing'}")


def weights_untouched(task: Any, values: Values, path: str) -> bool:
    """Whether the artifact's weight files have the stamps, or else the hashes, of its conversion.

    Also whether the manifest still says what conversion wrote, as no later stage could restore that.
    """
    folder = workspace().root / path
    task.value_savers.append(lambda: {"stamps": _stamps(folder, WEIGHT_FILES), "facts": _facts(folder)})
    if not _untouched(task, folder, WEIGHT_FILES, values.get("stamps")):
        return False
    edited = values.get("facts") != _facts(folder)
    return not edited or _stale(task, f"{folder / MANIFEST} was edited")


def views_untouched(task: Any, values: Values, paths: list[str]) -> bool:
    """The same for all files of the views."""
    folders = {Path(path).name: workspace().root / path for path in paths}

    def facts() -> dict[str, str | None]:
        return {name: _facts(folder) for name, folder in folders.items()}

    def now() -> Values:
        stamps = {name: _stamps(folder, ALL_FILES) for name, folder in folders.items()}
        return {"stamps": stamps, "facts": facts()}

    stamps = values.get("stamps") or {}
    task.value_savers.append(now)
    if not all(_untouched(task, folders[name], ALL_FILES, stamps.get(name)) for name in folders):
        return False
    edited = values.get("facts") != facts()
    return not edited or _stale(task, f"a manifest of {', '.join(folders)} was edited")


def is_validated(task: Any, values: Values, path: str) -> bool:
    """Whether the manifest is marked validated."""
    folder = workspace().root / path
    if not folder.is_dir():
        return _stale(task, f"{path} is missing")
    try:
        return Manifest.load(folder).validated or _stale(task, f"{folder} is not marked validated")
    except VoxbuildError as error:
        return _stale(task, str(error))


def is_signed(task: Any, values: Values, folders: list[str], public_key: str) -> bool:
    """Whether all folders are signed, with their current files, by the pair of the public key."""
    from voxbuild.artifact.signature import faults

    found = [fault for folder in folders for fault in faults(Path(folder), Path(public_key))]
    return not found or _stale(task, "; ".join(found))


def _untouched(task: Any, folder: Path, files: Files, stamps: Stamps | None) -> bool:
    if not stamps or not folder.is_dir():
        return _stale(task, f"{folder} was not built")
    now = _stamps(folder, files)
    if stamps == now or (now and read_state(workspace().stamps_file(folder)) == now):
        return True
    try:
        manifest = Manifest.load(folder)
    except VoxbuildError as error:
        return _stale(task, str(error))
    if damaged := manifest.damaged(folder, files(manifest)):
        return _stale(task, f"{', '.join(damaged)} in {folder} missing or changed")
    write_json(workspace().stamps_file(folder), now)  # doit stores no values of a task that did not run
    return True


def _facts(folder: Path) -> str | None:
    """A hash of the manifest as conversion wrote it; None if it cannot be read."""
    try:
        return sha256(Manifest.load(folder).as_converted.text.encode()).hexdigest()
    except VoxbuildError:
        return None


def _stamps(folder: Path, files: Files) -> Stamps:
    """The stamps of these files; empty if one is missing."""
    try:
        return {name: stamp(folder / name) for name in files(Manifest.load(folder))}
    except (OSError, VoxbuildError):
        return {}

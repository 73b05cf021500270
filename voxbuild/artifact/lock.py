"""recipe.lock: everything that determines an artifact's weights; sorted JSON without times or machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbuild.errors import LockError
from voxbuild.recipes.source import Source
from voxbuild.tensors.modes import Quantization
from voxrun.files.strict import load
from voxrun.messages import sentence, shown

if TYPE_CHECKING:
    from voxbuild.plan.planner import Plan

LOCK = "recipe.lock"
FORMAT = 1
SHOWN = 5
HUB = ("repo", "revision")
"""The identity of a source on the Hub."""
Lock = dict[str, Any]


def make_lock(
    source: Source,
    plan: "Plan",
    files: Mapping[str, Any],
    tools: Mapping[str, str],
    merged: Lock | None = None,
) -> Lock:
    """The content of the lock.

    format   version of this format
    recipe   name, and the plan's digest, which does not depend on the recipe's `validation`
    source   name, repo and revision if it is on the Hub, files: name -> size and sha256, and what was merged
             into its weights (`merged`): adapter: repo and revision if it is on the Hub, rank, ...
    tensors  canonical name -> dtype, shard (file), quantization (mode, bits, group_size; or null)
    tools    name -> version
    """
    return {
        "format": FORMAT,
        "recipe": {"name": plan.recipe, "digest": plan.digest()},
        "source": {
            "name": source.name,
            **source.origin.identity,
            **({"adapter": source.adapter.origin.identity | merged} if source.adapter and merged else {}),
            "files": dict(files),
        },
        "tensors": {
            tensor.name: {
                "dtype": tensor.dtype,
                "shard": shard,
                "quantization": asdict(tensor.quantization) if tensor.quantization else None,
            }
            for shard, tensors in plan.shards.items()
            for tensor in tensors
        },
        "tools": dict(tools),
    }


def read_lock(path: Path) -> Lock:
    """Read a lock. Raises LockError if it is missing or invalid."""
    try:
        lock = load(path)
        known = lock["format"]
        if type(known) is not int:
            raise TypeError(f"its format is {shown(known)}")
        if known == FORMAT:
            list(differences(lock, lock))  # reads all that is ever used
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LockError(
            f"{path}: cannot read the lock ({sentence(error)}); if it belongs to your own artifact, delete it"
        ) from error
    if known != FORMAT:
        raise LockError(f"{path}: its format is {shown(known)}, expected {FORMAT}; use another voxbuild")
    return dict(lock)


def check_drift(path: Path, now: Lock, source: Source) -> str | None:
    """How the source differs from the one in the artifact's lock, in one line; None: not at all.

    Raises LockError if a file that `source` pins differs, or its repository or commit.
    """
    before, after = read_lock(path)["source"], now["source"]
    pinned = list(_files_drift(before["files"], after["files"], source.is_pinned))
    free = list(_files_drift(before["files"], after["files"], lambda name: not source.is_pinned(name)))
    is_at = source.origin.identity
    was_at = {key: before[key] for key in before.keys() & {*is_at, *HUB}}
    (pinned if is_at else free).extend(drift(was_at, is_at))
    if not pinned + free:
        return None
    said = f"the source {source.name} changed since {path.parent} was built: {_some(pinned + free)}"
    if pinned:
        raise LockError(f"{said}; to accept the new source delete {path} and run it again")
    return f"{said}; it is not pinned, so the artifact is built from what is there now"


def refuse_difference(path: Path, now: Lock) -> None:
    """Raises LockError, naming the first differences, if a build would not reproduce the lock."""
    if found := list(differences(read_lock(path), now)):
        raise LockError(f"a build would differ from {path}: {_some(found)}")


def differences(was: Lock, now: Lock) -> Iterator[str]:
    """How two locks differ, a phrase each: source, calibration, tools, tensors; else the recipe's digest."""
    # On another processor a calibration may differ in the last digits.
    before, after = (
        {f"the {name}": lock["recipe"].get(name) for name in ("calibration", "allocation")}
        for lock in (was, now)
    )
    found = [
        *source_drift(was, now),
        *drift(before, after, _measured),
        *tool_drift(was, now),
        *drift(was["tensors"], now["tensors"], _kind),
    ]
    yield from found
    if not found and was["recipe"] != now["recipe"]:
        yield f"the recipe {was['recipe']['name']} was different (digest {was['recipe'].get('digest')})"


def source_drift(was: Lock, now: Lock) -> Iterator[str]:
    """Which files of the source differ."""
    yield from _files_drift(was["source"]["files"], now["source"]["files"])


def _files_drift(
    was: Mapping[str, Any], now: Mapping[str, Any], chosen: Callable[[str], bool] = lambda name: True
) -> Iterator[str]:
    """How the chosen files of two sources differ."""
    before, after = ({n: entry for n, entry in side.items() if chosen(n)} for side in (was, now))
    yield from drift(before, after, lambda entry: f"sha256 {entry['sha256']}")


def tool_drift(was: Lock, now: Lock) -> Iterator[str]:
    """Which tools have another version."""
    yield from drift(was["tools"], now["tools"])


def drift(was: Mapping[str, Any], now: Mapping[str, Any], words: Callable[[Any], str] = str) -> Iterator[str]:
    """How two mappings differ, a phrase for each key; `words` describes a value."""
    for name in sorted(was.keys() | now.keys()):
        before, after = (words(side[name]) if name in side else "missing" for side in (was, now))
        if before != after:
            yield f"{name} was {before}, is {after}"


def _measured(facts: Mapping[str, Any] | None) -> str:
    """What was measured for an artifact: its clip set, if it has one, and its hash."""
    if not facts:
        return "none"
    clips = [f"by {facts['clips']}"] if "clips" in facts else []
    sha256 = facts.get("sha256", facts.get("sensitivity"))
    return ", ".join([*clips, *([f"sha256 {sha256}"] if sha256 else [])])


def _kind(entry: Mapping[str, Any]) -> str:
    how = entry["quantization"]
    quantized = f"{Quantization(**how).in_words} of " if how else ""
    return f"{quantized}{entry['dtype']} in {entry['shard']}"


def _some(phrases: list[str]) -> str:
    more = f"; and {len(phrases) - SHOWN} more" if len(phrases) > SHOWN else ""
    return "; ".join(phrases[:SHOWN]) + more

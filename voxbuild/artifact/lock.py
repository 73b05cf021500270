"""recipe.lock: what the weights of an artifact follow from, and whether that is still so.

Pure, but for reading and writing the file: sorted JSON, no times, no machine.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voxbuild.errors import LockError
from voxbuild.plan.planner import Plan
from voxbuild.recipes.source import Source
from voxbuild.tensors.modes import Quantization
from voxrun.files.strict import load
from voxrun.messages import sentence, shown

LOCK = "recipe.lock"
FORMAT = 1
SHOWN = 5
Lock = dict[str, Any]


def make_lock(source: Source, plan: Plan, files: Mapping[str, Any], tools: Mapping[str, str]) -> Lock:
    """What decides about the weights.

    format   of this file
    recipe   name, and the plan's digest: the validation part of a recipe may change without changing it
    source   name, repo and revision if it is on the Hub, files: name -> size and sha256
    tensors  canonical name -> dtype, shard (file), quantization (mode, bits, group_size; or null)
    tools    name -> version
    """
    return {
        "format": FORMAT,
        "recipe": {"name": plan.recipe, "digest": plan.digest()},
        "source": {
            "name": source.name,
            **source.origin.identity,
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
    """Read a lock. Raises LockError if it is not there or not one of ours."""
    try:
        lock = load(path)
        known = lock["format"]
        if type(known) is not int:
            raise TypeError(f"its format is {shown(known)}")
        if known == FORMAT:
            list(differences(lock, lock))  # all that is ever looked at
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LockError(
            f"{path}: no readable lock ({sentence(error)}); if it is of an artifact of yours, delete it"
        ) from error
    if known != FORMAT:
        raise LockError(
            f"{path}: a lock of format {shown(known)}, where {FORMAT} is known; use another voxbuild"
        )
    return dict(lock)


def refuse_drift(path: Path, now: Lock) -> None:
    """Raises LockError, naming the files, if the source is not the one that an artifact was built from."""
    drifted = list(source_drift(read_lock(path), now))
    if drifted:
        name = now["source"]["name"]
        raise LockError(
            f"the source {name} is not the one that {path.parent} was built from: {_some(drifted)};"
            f" to accept the new source delete {path} and run it again"
        )


def refuse_difference(path: Path, now: Lock) -> None:
    """Raises LockError, naming the first differences, unless a build would make what the lock says."""
    lock = read_lock(path)
    found = list(differences(lock, now))
    if found:
        raise LockError(f"a build would not make what {path} says: {_some(found)}")


def differences(was: Lock, now: Lock) -> Iterator[str]:
    """How two locks differ, a phrase each: source, tools, tensors; or the digest, if nothing else does."""
    told = [
        *source_drift(was, now),
        *calibration_drift(was, now),
        *tool_drift(was, now),
        *drift(was["tensors"], now["tensors"], _kind),
    ]
    yield from told
    if not told and was["recipe"] != now["recipe"]:
        yield f"the recipe {was['recipe']['name']} was another (digest {was['recipe'].get('digest')})"


def source_drift(was: Lock, now: Lock) -> Iterator[str]:
    """Which files of the source differ."""
    yield from drift(was["source"]["files"], now["source"]["files"], lambda e: f"sha256 {e['sha256']}")


def calibration_drift(was: Lock, now: Lock) -> Iterator[str]:
    """Whether calibration told something else; on another processor it may, in the last digits."""
    before, after = ({"the calibration": lock["recipe"].get("calibration")} for lock in (was, now))
    yield from drift(before, after, lambda c: f"by {c['clips']}, sha256 {c['sha256']}" if c else "none")


def tool_drift(was: Lock, now: Lock) -> Iterator[str]:
    """Which tools have another version."""
    yield from drift(was["tools"], now["tools"])


def drift(was: Mapping[str, Any], now: Mapping[str, Any], told: Callable[[Any], str] = str) -> Iterator[str]:
    """How two mappings differ, a phrase for each key; `told` puts a value into words."""
    for name in sorted(was.keys() | now.keys()):
        before, after = (told(side[name]) if name in side else "not there" for side in (was, now))
        if before != after:
            yield f"{name} was {before}, is {after}"


def _kind(entry: Mapping[str, Any]) -> str:
    how = entry["quantization"]
    quantized = f"{Quantization(**how).in_words} of " if how else ""
    return f"{quantized}{entry['dtype']} in {entry['shard']}"


def _some(phrases: list[str]) -> str:
    more = f"; and {len(phrases) - SHOWN} more" if len(phrases) > SHOWN else ""
    return "; ".join(phrases[:SHOWN]) + more

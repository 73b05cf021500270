"""Proving that what was published is what its manifest says, and what is built here."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from voxrun.errors import VoxrunError
from voxrun.manifest import Entry, digest_of, read_entries

from .candidates import Candidate, candidates
from .differences import faults
from .errors import DifferenceError, PublishError, VoxbuildError
from .manifest import DESCRIPTIVE, MANIFEST, SIGNATURE, VALIDATION
from .publish import PublishTarget
from .publishing import Order
from .recipe import Book, Recipe
from .small_files import LIMIT, parsed
from .workspace import Workspace

Read = Callable[[str], bytes]
"""A small file of the artifact, by name."""


def verify(work: Workspace, book: Book, recipe: Recipe, order: Order) -> None:
    """Print of a recipe's artifact and views what is wrong with them where they are published, or what holds.

    If the recipe was not named, of those that are built here. Raises DifferenceError if anything is wrong.
    """
    goal = order.goal(work)
    wanted = [
        c for c in candidates(book, recipe, order.source, order.named) if order.named or c.is_built(work)
    ]
    holds = [_holds(work, goal, candidate, candidate.tag(order.tag)) for candidate in wanted]
    if not all(holds):
        raise DifferenceError


def _holds(work: Workspace, goal: PublishTarget, candidate: Candidate, tag: str) -> bool:
    """Print all about one artifact; whether nothing is wrong."""
    folder = candidate.folder(work) if candidate.is_built(work) else None
    print(f"{candidate.name}: {candidate.repo} at {tag}")
    try:
        facts, wrong = _checked(goal, candidate.repo, tag, folder)
    except (VoxbuildError, VoxrunError) as error:
        facts, wrong = [], [str(error)]
    print("\n".join([*(f"   {line}" for line in facts), *(f"!! {line}" for line in wrong)]))
    return not wrong


def _checked(goal: PublishTarget, repo: str, tag: str, folder: Path | None) -> tuple[list[str], list[str]]:
    """What holds of a published artifact, and what is wrong; more than files only if they are right."""
    raw = goal.read(repo, tag, MANIFEST, LIMIT)
    where = f"{repo} at {tag}: {MANIFEST}"
    entries, digest = read_entries(parsed(raw, where), where), hashlib.sha256(raw).hexdigest()
    there = goal.files(repo, tag)
    promised = {**entries, MANIFEST: Entry(len(raw), digest)}
    if signature := there.get(SIGNATURE):  # signs the manifest, so is not in it
        promised[SIGNATURE] = signature
    facts = _withdrawal(goal, repo, tag)
    if wrong := faults(there, promised):
        return facts, wrong
    total = sum(entry.size for entry in promised.values())
    facts.append(f"all {len(promised)} files are those of its manifest {digest[:16]}, {total:,} bytes")

    def read(name: str) -> bytes:
        return _proven(goal.read(repo, tag, name, LIMIT), name, promised)

    try:
        facts += proofs(promised, read)
    except (VoxbuildError, VoxrunError) as error:
        return facts, [str(error)]
    if folder and digest_of(folder) != digest:
        return facts, [f"another artifact is in {folder}, with the manifest {digest_of(folder)[:16]}"]
    return facts + ([f"the same as {folder}"] if folder else []), []


def _withdrawal(goal: PublishTarget, repo: str, tag: str) -> list[str]:
    """Why the tag was withdrawn, if it was."""
    return [
        f"withdrawn: {v.withdrawn}" for v in goal.history(repo) if v.tag == tag and v.withdrawn is not None
    ]


def proofs(entries: Mapping[str, Entry], read: Read) -> list[str]:
    """What the artifact, whose files are right, can prove beyond that; a line each.

    Raises PublishError if one of them is wrong.
    """
    return [_validation(entries, read)]


def _validation(entries: Mapping[str, Entry], read: Read) -> str:
    """What it was validated with is what is there."""
    if VALIDATION not in entries:
        raise PublishError(f"{VALIDATION} is missing: nothing says that it was validated")
    report = parsed(read(VALIDATION), VALIDATION)
    weights = {n: asdict(e) for n, e in entries.items() if n not in (*DESCRIPTIVE, MANIFEST, SIGNATURE)}
    if report.get("passed") is not True or report.get("artifact") != weights:
        raise PublishError(f"{VALIDATION} is not a passed one of these very files")
    return "validated as these very files"


def _proven(content: bytes, name: str, entries: Mapping[str, Entry]) -> bytes:
    if hashlib.sha256(content).hexdigest() != entries[name].sha256:
        raise PublishError(f"{name} is another file each time it is read")
    return content

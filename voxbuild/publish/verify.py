"""Proving that what was published is what its manifest says, and what is built here."""

import hashlib
from pathlib import Path

from voxbuild.artifact.evidence import proofs
from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.artifact.variant import Variant
from voxbuild.errors import DifferenceError, VoxbuildError
from voxbuild.files import STATE_BYTES
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.files.objects import read_object
from voxrun.messages import sentence
from voxrun.trust.manifest import Entry, digest_of, read_entries

from .changes import faults
from .order import Order
from .target import PublishTarget


def verify(work: Workspace, book: Book, order: Order) -> None:
    """Print of a recipe's artifact and views what is wrong with them where they are published, or what holds.

    If the recipe was not named, of those that are built here and validated: what `doit publish` takes.
    Raises DifferenceError if anything is wrong.
    """
    goal = order.goal(work)
    wanted = order.variants(work, book)
    holds = [_holds(goal, variant, order) for variant in wanted if order.named or variant.is_built]
    if not all(holds):
        raise DifferenceError


def _holds(goal: PublishTarget, variant: Variant, order: Order) -> bool:
    """Print what was found of one variant; return whether nothing is wrong."""
    folder = variant.folder if variant.is_built else None
    tag = order.tag or variant.tag
    try:
        if not order.named and not variant.is_validated:
            print(f"{variant.name}: not validated, so not published")
            return True
        facts, wrong = _checked(goal, variant.repo, tag, folder, order.public_key or variant.public_key)
    except (VoxbuildError, VoxrunError) as error:
        facts, wrong = [], [str(error)]
    print(f"{variant.name}: {variant.repo} at {tag}")
    print(
        "\n".join([*(f"   {sentence(line)}" for line in facts), *(f"!! {sentence(line)}" for line in wrong)])
    )
    return not wrong


def _checked(
    goal: PublishTarget, repo: str, tag: str, folder: Path | None, key: Path | None
) -> tuple[list[str], list[str]]:
    """What holds of a published artifact, and what is wrong; more than files only if they are right."""
    raw = goal.read(repo, tag, MANIFEST, STATE_BYTES)
    where = f"{repo} at {tag}: {MANIFEST}"
    entries, digest = read_entries(read_object(raw, where), where), hashlib.sha256(raw).hexdigest()
    there = goal.files(repo, tag)
    promised = {**entries, MANIFEST: Entry(len(raw), digest)}
    if signature := there.get(SIGNATURE):  # signs the manifest, so is not in it
        promised[SIGNATURE] = signature
    facts = _withdrawal(goal, repo, tag)
    if wrong := faults(there, promised):
        return facts, wrong
    total = sum(entry.size for entry in promised.values())
    facts.append(f"all {len(promised)} files are those of its manifest {digest[:16]}, {total:,} bytes")

    try:
        facts += proofs(promised, lambda name: goal.read(repo, tag, name, STATE_BYTES), key)
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

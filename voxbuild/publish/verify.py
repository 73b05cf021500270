"""`doit verify`: check published artifacts against their manifests, their proofs and the folders in out/."""

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
from voxrun.trust.foreign import would_be_read
from voxrun.trust.manifest import Entry, digest_of, read_entries

from .changes import faults
from .order import Order
from .target import PublishTarget


def verify(work: Workspace, book: Book, order: Order) -> None:
    """Check the published artifact and views of a recipe and print the results.

    Unless recipe= names it, only those that are built here and validated. Raises DifferenceError if anything
    is wrong.
    """
    target = order.open_target(work)
    wanted = order.variants(work, book)
    results = [_verify(target, variant, order) for variant in wanted if order.named or variant.is_built]
    if not results:
        print(order.not_built(book))
    if not all(results):
        raise DifferenceError


def _verify(target: PublishTarget, variant: Variant, order: Order) -> bool:
    """Check one variant and print the results; return whether nothing is wrong."""
    folder = variant.folder if variant.is_built else None
    tag = order.tag or variant.tag
    try:
        if not order.named and not variant.is_validated:
            print(f"{variant.name}: not validated, so not published")
            return True
        key = Path(order.key) if order.key else variant.public_key
        facts, wrong = _check(target, variant.repo, tag, folder, key)
    except (VoxbuildError, VoxrunError) as error:
        facts, wrong = [], [str(error)]
    print(f"{variant.name}: {variant.repo} at {tag}")
    print(
        "\n".join([*(f"   {sentence(line)}" for line in facts), *(f"!! {sentence(line)}" for line in wrong)])
    )
    return not wrong


def _check(
    target: PublishTarget, repo: str, tag: str, folder: Path | None, key: Path | None
) -> tuple[list[str], list[str]]:
    """The facts and the faults of a published artifact; its proofs are checked if all files are intact."""
    raw = target.read(repo, tag, MANIFEST, STATE_BYTES)
    where = f"{repo} at {tag}: {MANIFEST}"
    entries, digest = read_entries(read_object(raw, where), where), hashlib.sha256(raw).hexdigest()
    there = target.files(repo, tag)
    promised = {**entries, MANIFEST: Entry(len(raw), digest)}
    if signature := there.get(SIGNATURE):  # signs the manifest, so is not in it
        promised[SIGNATURE] = signature
    versions = [v for v in target.history(repo) if v.tag == tag and v.withdrawn is not None]
    facts = [f"withdrawn: {version.withdrawn}" for version in versions]
    others = set(there) - set(promised) if target.shared else set()
    others -= set(would_be_read(others))
    if others:
        facts.append(f"{len(others)} files that are not of this release: {', '.join(sorted(others))}")
    if wrong := faults({name: entry for name, entry in there.items() if name not in others}, promised):
        return facts, wrong
    total = sum(entry.size for entry in promised.values())
    facts.append(f"all {len(promised)} files match the manifest {digest[:16]}, {total:,} bytes")

    try:
        facts += proofs(promised, lambda name: target.read(repo, tag, name, STATE_BYTES), key)
    except (VoxbuildError, VoxrunError) as error:
        return facts, [str(error)]
    if folder and digest_of(folder) != digest:
        return facts, [f"{folder} holds another artifact, with the manifest {digest_of(folder)[:16]}"]
    return facts + ([f"the same as {folder}"] if folder else []), []

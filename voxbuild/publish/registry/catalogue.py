"""What the local registry holds, and what of it nobody needs."""

import json
from dataclasses import asdict, dataclass

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE, VALIDATION
from voxbuild.console import foreign_table
from voxbuild.errors import MissingError, PublishError, VoxbuildError
from voxbuild.files import STATE_BYTES
from voxbuild.publish.target import Version
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.files.objects import read_object
from voxrun.messages import sentence
from voxrun.trust.manifest import read_entries

from .garbage import Garbage
from .target import LocalRegistry

HEADER = ["repository", "tag", "variant", "MB", "WER %", "signed", "", "withdrawn"]


@dataclass(frozen=True)
class Listed:
    """A tag of the registry, and what lies under it."""

    repo: str
    tag: str
    commit: str
    date: str
    variant: str
    wer: float | None
    """In per cent, over all clips."""
    nbytes: int
    signed: bool
    latest: bool
    withdrawn: str | None


def show_registry(work: Workspace, book: Book, format: str, gc: bool, dry_run: bool) -> None:
    """Print the entries of the local registry, or (`gc`) what is removed because no tag needs it.

    Raises PublishError naming what is damaged.
    """
    registry = LocalRegistry(work.registry)
    text, damaged = collect(registry, dry_run) if gc else show(registry, format)
    print(text)
    if damaged:
        raise PublishError("\n".join(damaged))


def show(registry: LocalRegistry, format: str) -> tuple[str, list[str]]:
    """All entries, newest of each repository first, as table or JSON; and what of others cannot be read."""
    listed, damaged = [], []
    for repo in registry.repos():
        try:
            versions = registry.history(repo)
        except PublishError as error:
            damaged.append(sentence(f"{repo}: {error}"))
            continue
        for version in versions:
            try:
                listed.append(_listed(registry, repo, version))
            except (VoxbuildError, VoxrunError) as error:
                damaged.append(sentence(error))
    if format == "json":
        return json.dumps([asdict(entry) for entry in listed], indent=2), damaged
    return foreign_table(map(_row, listed), HEADER) if listed else "the registry is empty", damaged


def collect(registry: LocalRegistry, dry_run: bool) -> tuple[str, list[str]]:
    """Remove what no tag needs; a line for each, and one for all; and why of others nothing is removed."""
    garbage, damaged = registry.collect(dry_run)
    what = "would be removed" if dry_run else "removed"
    lines = [f"{what}: {_line(registry, item)}" for item in garbage]
    total = f"{len(garbage)} removed" if not dry_run else f"{len(garbage)} would be removed"
    text = "\n".join([*lines, f"{total}, {sum(item.nbytes for item in garbage):,} bytes"])
    return text, [f"nothing was removed there: {sentence(why)}" for why in damaged]


def _line(registry: LocalRegistry, item: Garbage) -> str:
    return f"{sentence(item.path.relative_to(registry.folder))}, {item.nbytes:,} bytes"


def _listed(registry: LocalRegistry, repo: str, version: Version) -> Listed:
    where = f"{repo} at {version.tag}"
    raw = registry.read(repo, version.tag, MANIFEST, STATE_BYTES)
    manifest = read_object(raw, f"{where}: {MANIFEST}")
    validation = read_object(
        registry.read(repo, version.tag, VALIDATION, STATE_BYTES), f"{where}: {VALIDATION}"
    )
    total = validation.get("total")
    wer = total.get("wer") if isinstance(total, dict) else None
    return Listed(
        repo=repo,
        tag=version.tag,
        commit=version.commit,
        date=version.date,
        variant=sentence(manifest.get("variant")),
        wer=wer if isinstance(wer, int | float) else None,
        nbytes=len(raw) + sum(entry.size for entry in read_entries(manifest, where).values()),
        signed=_is_signed(registry, repo, version.tag),
        latest=version.latest,
        withdrawn=version.withdrawn,
    )


def _is_signed(registry: LocalRegistry, repo: str, tag: str) -> bool:
    try:
        return bool(registry.read(repo, tag, SIGNATURE, STATE_BYTES))
    except MissingError:
        return False


def _row(entry: Listed) -> list[str]:
    return [
        entry.repo,
        entry.tag,
        entry.variant,
        f"{entry.nbytes / 1e6:,.2f}",
        "" if entry.wer is None else f"{entry.wer:.2f}",
        "yes" if entry.signed else "no",
        "latest" if entry.latest else "",
        entry.withdrawn or "",
    ]

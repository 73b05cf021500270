"""`doit registry`: show the entries of the local registry, or remove what no tag needs."""

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

from .target import LocalRegistry

HEADER = ["repository", "tag", "variant", "MB", "WER %", "signed", "", "withdrawn"]


@dataclass(frozen=True)
class Listed:
    """A tag of the registry and its artifact."""

    repo: str
    tag: str
    commit: str
    date: str
    variant: str
    wer: float | None
    """Per cent, over all clips."""
    nbytes: int
    signed: bool
    latest: bool
    withdrawn: str | None


def show_registry(work: Workspace, book: Book, format: str, gc: bool, dry_run: bool) -> None:
    """Print the entries of the local registry or (`gc`) remove what no tag needs and print that.

    Raises PublishError, naming all entries that are damaged.
    """
    registry = LocalRegistry(work.registry)
    text, damaged = collect(registry, dry_run) if gc else show(registry, format)
    print(text)
    if damaged:
        raise PublishError("\n".join(damaged))


def show(registry: LocalRegistry, format: str) -> tuple[str, list[str]]:
    """All readable entries as table or JSON, each repository's newest first; and the errors of the others."""
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
    """Remove what no tag needs; return a line for each item and the total, and the errors of damaged ones."""
    garbage, damaged = registry.collect(dry_run)
    what = "would be removed" if dry_run else "removed"
    lines = [
        f"{what}: {sentence(item.path.relative_to(registry.folder))}, {item.nbytes:,} bytes"
        for item in garbage
    ]
    total = f"{len(garbage)} {what}, {sum(item.nbytes for item in garbage):,} bytes"
    return "\n".join([*lines, total]), [f"nothing was removed there: {sentence(why)}" for why in damaged]


def _listed(registry: LocalRegistry, repo: str, version: Version) -> Listed:
    where = f"{repo} at {version.tag}"
    raw = registry.read(repo, version.tag, MANIFEST, STATE_BYTES)
    manifest = read_object(raw, f"{where}: {MANIFEST}")
    report = registry.read(repo, version.tag, VALIDATION, STATE_BYTES)
    total = read_object(report, f"{where}: {VALIDATION}").get("total")
    wer = total.get("wer") if isinstance(total, dict) else None
    wer = wer.get("value") if isinstance(wer, dict) else wer  # a number in releases of before intervals
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

"""`doit publish`: publish a recipe's artifacts and views, or show what that would change."""

from voxbuild.artifact.manifest import MANIFEST
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import read_record
from voxbuild.errors import MissingError, PublishError, VoxbuildError
from voxbuild.files import STATE_BYTES
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import LATEST

from .beside import listed_by, stale
from .changes import changes_table
from .order import Order
from .release import prepare
from .target import Destination, PublishTarget, Release, check_branch
from .targets import DEFAULT_TARGET


def publish(
    work: Workspace,
    book: Book,
    order: Order,
    pull_request: bool = False,
    dry_run: bool = False,
    prune: bool = False,
) -> None:
    """Publish a recipe's validated artifact and its views, or (`dry_run`) show what that would change.

    Files of others in a repository are kept, unless `prune`. Unless recipe= names it, variants that are not
    built or validated are skipped. After a failure the others are still published. Raises PublishError with
    all problems.
    """
    destination = Destination(order.branch or None, pull_request, prune)
    target = _open_target(work, order, destination)
    wanted, problems = order.variants(work, book), []
    built = [variant for variant in wanted if variant.artifact.is_built]
    if order.named and not built:
        raise PublishError(f"{wanted[0].name} is not built; run `{wanted[0].build_command}` first")
    for variant in built:
        try:
            print(f"{variant.name}: {_publish(target, variant, order, destination, dry_run)}")
        except (VoxbuildError, VoxrunError) as error:
            problems.append(str(error))
    if problems:
        raise PublishError("\n".join(problems))
    if not built:
        print(order.not_built(book))


def _open_target(work: Workspace, order: Order, destination: Destination) -> PublishTarget:
    """The target. Raises PublishError if it does not have such a destination."""
    if destination.branch and destination.pull_request:
        raise PublishError("use either branch= or --pull-request, not both")
    if destination.branch:
        check_branch(destination.branch)
    target = order.open_target(work)
    if not destination.is_main and not target.reviews:
        name = order.target or DEFAULT_TARGET
        raise PublishError(f"target={name} has no branches or pull requests; use target=hub")
    if destination.prune and not target.shared:
        name = order.target or DEFAULT_TARGET
        raise PublishError(f"target={name} holds no files of others; --prune is for target=hub")
    return target


def _publish(
    target: PublishTarget, variant: Variant, order: Order, destination: Destination, dry_run: bool
) -> str:
    """Publish an artifact or a view unless its tag has it already; return what was done."""
    if not order.named and not variant.is_validated:
        return "not validated, so not published"
    variant.check_current()
    record = read_record(variant.record_file)
    tag = order.tag or variant.tag
    folder, digest, key = variant.folder, variant.digest, variant.public_key
    sources = must_be_public(variant)
    release = prepare(folder, digest, variant.repo, tag, key, record, variant.private, sources)
    if destination.is_main and target.published(release):
        return f"already published as {release.repo} at {tag}"
    if dry_run:
        return _preview(target, release, destination)
    return f"published {target.publish(release, destination, lambda line: print(line, flush=True))}"


def must_be_public(variant: Variant) -> tuple[str, ...]:
    """The sources on the Hub that must be public; none if the variant is private, or public by request."""
    return () if variant.private or variant.asked_public else variant.hub_sources


def _preview(target: PublishTarget, release: Release, destination: Destination) -> str:
    """What publishing would change, file by file; sends nothing. Raises PublishError as it would."""
    told = target.check(release, destination)
    what = f"a pull request to {release.repo}" if destination.pull_request else release.repo
    where = f"branch {destination.branch}" if destination.branch else release.tag
    there, kept = _current_files(target, release, destination)
    lines = "\n".join([f"would be published as {what} at {where}; nothing was sent", *told])
    return f"{lines}\n\n{changes_table(there, release.files, kept)}\n"


def _current_files(
    target: PublishTarget, release: Release, destination: Destination
) -> tuple[dict[str, Entry], set[str]]:
    """The files that lie where the release goes, and those of them that are kept.

    That is its branch, if it exists, else main.
    """
    for revision in filter(None, (destination.branch, LATEST)):
        try:
            there = target.files(release.repo, revision)
        except MissingError:
            continue
        others = {name: entry for name, entry in there.items() if name not in release.files}
        if destination.prune or not target.shared:
            return there, set()
        held = MANIFEST in there
        manifest = target.read(release.repo, revision, MANIFEST, STATE_BYTES) if held else None
        return there, others.keys() - stale(others, listed_by(manifest))
    return {}, set()

"""`doit publish`: publish a recipe's artifacts and views, or show what that would change."""

from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import read_record
from voxbuild.errors import MissingError, PublishError, VoxbuildError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import LATEST

from .changes import changes_table
from .order import Order
from .release import prepare
from .target import Destination, PublishTarget, Release, check_branch
from .targets import DEFAULT_TARGET


def publish(
    work: Workspace, book: Book, order: Order, pull_request: bool = False, dry_run: bool = False
) -> None:
    """Publish a recipe's validated artifact and its views, or (`dry_run`) show what that would change.

    Unless recipe= names it, variants that are not built or validated are skipped. After a failure the others
    are still published. Raises PublishError with all problems.
    """
    destination = Destination(order.branch or None, pull_request)
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
        print(f"{order.recipe}: not built")


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
    release = prepare(variant.folder, variant.digest, variant.repo, tag, variant.public_key, record)
    if destination.is_main and target.published(release):
        return f"already published as {release.repo} at {tag}"
    if dry_run:
        return _preview(target, release, destination)
    return f"published {target.publish(release, destination)}"


def _preview(target: PublishTarget, release: Release, destination: Destination) -> str:
    """What publishing would change, file by file; sends nothing."""
    what = f"a pull request to {release.repo}" if destination.pull_request else release.repo
    where = f"branch {destination.branch}" if destination.branch else release.tag
    table = changes_table(_current_files(target, release.repo, destination), release.files)
    return f"would be published as {what} at {where}; nothing was sent\n\n{table}\n"


def _current_files(target: PublishTarget, repo: str, destination: Destination) -> dict[str, Entry]:
    """The files that the release would replace: on its branch if that exists, else on main."""
    for revision in filter(None, (destination.branch, LATEST)):
        try:
            return target.files(repo, revision)
        except MissingError:
            continue
    return {}

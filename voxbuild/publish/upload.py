"""What the tasks do with releases: to which target what of a project goes, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voxbuild.artifact.variant import Candidate, candidates, check_current, public_key_of
from voxbuild.card.siblings import read_record
from voxbuild.errors import MissingError, PublishError, VoxbuildError
from voxbuild.publish.hub.target import Hub
from voxbuild.publish.registry.target import LocalRegistry, no_review
from voxbuild.recipes.book import Book
from voxbuild.recipes.recipe import Recipe
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import LATEST

from .changes import changes_table
from .release import prepare
from .target import Destination, PublishTarget, Release, check_branch

TARGETS: dict[str, Callable[[Workspace], PublishTarget]] = {
    "registry": lambda work: LocalRegistry(work.registry),
    "hub": lambda work: Hub(),
}
DEFAULT_TARGET = "registry"
REVIEWED = ("hub",)
"""Targets with branches and pull requests."""
MAIN = Destination()


@dataclass(frozen=True)
class Order:
    """What was asked for: a recipe that was `named` must be there and validated."""

    named: bool
    source: str | None = None
    target: str | None = None
    tag: str | None = None
    destination: Destination = MAIN
    dry_run: bool = False
    key: Path | None = None
    """A public key, to verify with."""

    def goal(self, work: Workspace) -> PublishTarget:
        """The target."""
        return TARGETS[self.target or DEFAULT_TARGET](work)


def publish(work: Workspace, book: Book, recipe: Recipe, order: Order) -> None:
    """Publish a recipe's validated artifact and its views, or show what would change there.

    If it was not named, whatever is validated, over the given source or all; a problem with one does not stop
    the rest. Raises PublishError with all problems.
    """
    if order.destination.branch and order.destination.pull_request:
        raise PublishError("a branch or a pull request: say one")
    if order.destination.branch:
        check_branch(order.destination.branch)
    if not order.destination.is_main and (order.target or DEFAULT_TARGET) not in REVIEWED:
        raise no_review()
    goal, problems = order.goal(work), []
    wanted = candidates(book, recipe, order.source, order.named)
    built = {c.source.name for c in wanted if not c.loader and c.is_built(work)}
    if order.named and not built:
        source = wanted[0].source.name
        build = f"doit build recipe={recipe.name} source={source}"
        raise PublishError(f"{recipe.name} over {source} is not built; run `{build}` first")
    for candidate in wanted:
        if candidate.source.name in built:
            try:
                print(f"{candidate.name}: {_published(work, book, goal, candidate, order)}")
            except (VoxbuildError, VoxrunError) as error:
                problems.append(str(error))
    if problems:
        raise PublishError("\n".join(problems))
    if not built:
        print(f"{recipe.name}: not built")


def _published(work: Workspace, book: Book, goal: PublishTarget, candidate: Candidate, order: Order) -> str:
    """Publish one artifact, or its view for a loader, if need be; what came of it."""
    source, recipe = candidate.source, candidate.recipe
    folder = work.artifact(source.name, recipe.name)
    if not order.named and not candidate.is_validated(work):
        return "not validated, so not published"
    if candidate.loader:
        folder = check_current(work, source, recipe, candidate.loader)
    tag = candidate.tag(order.tag)
    signer = public_key_of(work, recipe)
    record = read_record(work.siblings_file(source.name))
    release = prepare(folder, book.digest(source, recipe), candidate.repo, tag, signer, record)
    if order.destination.is_main and goal.published(release):
        return f"already published as {release.repo} at {tag}"
    if order.dry_run:
        return _preview(goal, release, order.destination)
    return f"published {goal.publish(release, order.destination)}"


def _preview(goal: PublishTarget, release: Release, destination: Destination) -> str:
    """What publishing would change, file by file; sends nothing."""
    what = f"a pull request to {release.repo}" if destination.pull_request else release.repo
    where = f"branch {destination.branch}" if destination.branch else release.tag
    table = changes_table(_there(goal, release.repo, destination), release.files)
    return f"would be published as {what} at {where}; nothing was sent\n\n{table}\n"


def _there(goal: PublishTarget, repo: str, destination: Destination) -> dict[str, Entry]:
    """What the release would take the place of: on its branch, if that is there, else on main."""
    for revision in filter(None, (destination.branch, LATEST)):
        try:
            return goal.files(repo, revision)
        except MissingError:
            continue
    return {}

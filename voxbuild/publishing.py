"""What the tasks do with releases: to which target what of a project goes, and what came of it."""

from collections.abc import Callable
from itertools import product

from . import view_stages
from .errors import PublishError, VoxbuildError
from .hub import Hub
from .loaders import Loader, views_of
from .manifest import MANIFEST, Manifest
from .naming import repo_name, tag_name
from .publish import Destination, PublishTarget, prepare
from .recipe import Book, Recipe, Source
from .registry import LocalRegistry
from .workspace import Workspace

TARGETS: dict[str, Callable[[Workspace], PublishTarget]] = {
    "registry": lambda work: LocalRegistry(work.registry),
    "hub": lambda work: Hub(),
}
DEFAULT_TARGET = "registry"


def publish(
    work: Workspace,
    book: Book,
    recipe: Recipe,
    source: str | None,
    target: str | None,
    tag: str | None,
    named: bool,
) -> None:
    """Publish a recipe's validated artifact and its views; one that was `named` must be there and validated.

    Otherwise whatever is validated, over the given source or all; a problem with one does not stop the rest.
    Raises PublishError with all problems.
    """
    goal = TARGETS[target or DEFAULT_TARGET](work)
    origins = [book.source(source or recipe.source)] if named or source else list(book.sources.values())
    built = [o for o in origins if (work.artifact(o.name, recipe.name) / MANIFEST).is_file()]
    if named and not built:
        build = f"doit build recipe={recipe.name} source={origins[0].name}"
        raise PublishError(f"{recipe.name} over {origins[0].name} is not built; run `{build}` first")
    problems = []
    for origin, loader in product(built, [None, *views_of(recipe.dialects)]):
        name = view_stages.view_name(recipe, loader) if loader else recipe.name
        try:
            done = _published(work, book, goal, origin, recipe, loader, tag, named)
            print(f"{name} over {origin.name}: {done}")
        except VoxbuildError as error:
            problems.append(str(error))
    if problems:
        raise PublishError("\n".join(problems))
    if not built:
        print(f"{recipe.name}: not built")


def _published(
    work: Workspace,
    book: Book,
    goal: PublishTarget,
    source: Source,
    recipe: Recipe,
    loader: Loader | None,
    tag: str | None,
    named: bool,
) -> str:
    """Publish one artifact, or its view for a loader, if need be; what came of it."""
    folder = work.artifact(source.name, recipe.name)
    if not named and not Manifest.load(folder).validated:
        return "not validated, so not published"
    if loader:
        folder = view_stages.check_current(work, source, recipe, loader)
    tag = tag or tag_name(recipe)
    release = prepare(folder, book.digest(source, recipe), repo_name(source, recipe, loader), tag)
    if goal.published(release):
        return f"already published as {release.repo} at {tag}"
    return f"published {goal.publish(release, Destination())}"

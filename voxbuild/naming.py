"""What an artifact is called where it is published."""

from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source

from . import __version__


def repo_name(source: Source, recipe: Recipe, loader: Loader | None = None) -> str:
    """owner/name that the artifact is published under, or its view for a loader."""
    names = {"model": source.model, "recipe": recipe.name}
    repo = recipe.publish.repo.format(**names)
    return recipe.publish.view.format(repo=repo, dialect=loader.name, **names) if loader else repo


def tag_name(recipe: Recipe) -> str:
    """The tag it is published under, if no other is said."""
    return recipe.publish.tag or f"v{__version__}"

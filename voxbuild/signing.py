"""The stage after the manifest and the views: who vouches for an artifact signs it, and its views."""

import os
from pathlib import Path

from voxbuild.recipes.loaders import views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source

from .errors import SigningError
from .signature import refuse_unready, sign, unready
from .subject import public_key_of
from .view_stages import check_current
from .workspace import Workspace

KEY = "VOXBUILD_SIGNING_KEY"
"""The environment variable that names the private key, a PEM file."""


def sign_artifact(work: Workspace, source: Source, recipe: Recipe, key: str | None, named: bool) -> str:
    """Sign a recipe's artifact and its views; return what was done.

    `key` names the private key; None: the environment does. One that is not `named` need not be there, or
    validated. Raises SigningError.
    """
    folder = work.artifact(source.name, recipe.name)
    if (why := unready(folder)) and not named:
        return f"{why}, so not signed"
    refuse_unready(folder)
    views = [check_current(work, source, recipe, loader) for loader in views_of(recipe.dialects)]
    for each in (folder, *views):
        sign(each, _private_key(key), public_key_of(work, recipe))
    return f"signed {', '.join(str(each.relative_to(work.root)) for each in (folder, *views))}"


def _private_key(named: str | None) -> Path:
    if chosen := named or os.environ.get(KEY):
        return Path(chosen)
    raise SigningError(f"no private key to sign with: say key=PRIVATE.pem, or set {KEY}")

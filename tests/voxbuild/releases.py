"""Projects with publishable artifacts that were not built: publishing does not look at weights."""

import shutil

from artifacts import make_artifact, sign_artifact
from projects import RECIPE, make_project

from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace

REPO = "someone/Voxtral-Tiny-Prompts-4bit"


def make_releasable(folder, weights=b"weights", more=""):
    """A project whose one recipe, with `more` lines, has a validated artifact; its workspace."""
    work = Workspace(make_project(folder, recipes=(), clips=1))
    (work.recipes / "4bit.yaml").write_text(RECIPE.format(name="4bit", bits=4) + more)
    put_artifact(work, weights)
    return work


def put_artifact(work, weights=b"weights", signed=False):
    """Write the artifact of the recipe over tiny in place of another, as if it had been built."""
    book = book_of(work)
    digest = book.digest(book.source("tiny"), book.recipe("4bit"))
    folder = work.artifact("tiny", "4bit")
    shutil.rmtree(folder, ignore_errors=True)
    make_artifact(folder, weights, repo=REPO, recipe={"digest": digest})
    if signed:
        sign_artifact(folder)
    return folder


def book_of(work):
    """Its recipes, read anew."""
    read_book.cache_clear()
    return read_book(work.recipes)

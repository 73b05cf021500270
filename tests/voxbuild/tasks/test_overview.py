"""What `doit` shows without arguments."""

import re

from voxbuild.recipes.book import read_book
from voxbuild.tasks.overview import show_recipes
from voxbuild.workspace import Workspace


def test_recipes_sources_and_clip_sets_are_listed(root):
    book = read_book(root / "recipes")
    listed = show_recipes(Workspace(root), book)
    for each in (*book.recipes.values(), *book.sources.values(), *book.clips.values()):
        assert re.search(rf"^\| {re.escape(each.name)} +\| {re.escape(each.summary)} ", listed, re.MULTILINE)

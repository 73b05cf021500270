"""Published tags: their history, and withdrawing one."""

import json
from dataclasses import asdict

from voxbuild.console import foreign_table
from voxbuild.errors import MissingError, PublishError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.messages import sentence

from .order import Order
from .target import Version

HEADER = ["repository", "tag", "commit", "date", "", "withdrawn"]


def yank(work: Workspace, book: Book, order: Order, reason: str | None) -> None:
    """Withdraw a tag of a recipe's artifact and of its views.

    Raises PublishError; MissingError if none of them has the tag.
    """
    wanted = order.variants(work, book)
    if not order.tag or not reason or not reason.strip():
        raise PublishError(
            "name the tag to withdraw and the reason: doit yank recipe=NAME tag=TAG reason='...'"
        )
    target, missing, done = order.open_target(work), [], 0
    for variant in wanted:
        try:
            print(sentence(target.yank(variant.repo, order.tag, reason.strip())))
            done += 1
        except MissingError as error:
            missing.append(sentence(error))
    if not done:
        raise MissingError("\n".join(missing))
    if missing:
        print("\n".join(missing))


def history(work: Workspace, book: Book, order: Order, format: str) -> str:
    """The published tags of a recipe's artifact and its views, newest first, as table or JSON.

    Raises MissingError if there are none.
    """
    target, found, missing = order.open_target(work), list[tuple[str, Version]](), []
    for variant in order.variants(work, book):
        try:
            found += [(variant.repo, version) for version in target.history(variant.repo)]
        except MissingError as error:
            missing.append(sentence(error))
    if not found:
        raise MissingError("\n".join(missing) or f"{order.recipe}: no tag is published")
    if format == "json":
        return json.dumps([{"repo": repo} | asdict(version) for repo, version in found], indent=2)
    return foreign_table([_row(repo, version) for repo, version in found], HEADER)


def _row(repo: str, version: Version) -> list[str]:
    mark = "latest" if version.latest else ""
    return [repo, version.tag, version.commit[:12], version.date, mark, version.withdrawn or ""]

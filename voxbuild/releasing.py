"""The doit tasks of what leaves the project: releases, and the targets that they go to."""

from collections.abc import Iterator

from doit import get_var

from .actions import run
from .choice import ALWAYS, Task, chosen

__all__ = [
    "task_publish",
    "task_siblings",
]


def task_publish() -> Iterator[Task]:
    """Publish what is validated: to out/registry, or with target=hub to the Hub."""
    options = {name: get_var(name) for name in ("source", "target", "tag")}
    options["named"] = get_var("recipe") is not None
    for recipe in chosen():
        yield {
            "name": recipe.name,
            "actions": [(run, ["publish", options | {"recipe": recipe.name}])],
        } | ALWAYS


def task_siblings() -> Task:
    """Put on record what is published, for the tables and plots of cards: doit siblings source=tiny."""
    options = {name: get_var(name) for name in ("source", "target")}
    return {"actions": [(run, ["siblings", options])]} | ALWAYS

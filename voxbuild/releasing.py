"""The doit tasks of what leaves the project: releases, and the targets that they go to."""

from collections.abc import Iterator

from doit import get_var

from .actions import run
from .choice import ALWAYS, Task, builds, chosen, doing

__all__ = [
    "task_publish",
    "task_sign",
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


def task_sign() -> Iterator[Task]:
    """Sign what is validated, with key=PRIVATE.pem or the key that VOXBUILD_SIGNING_KEY names."""
    said = {"key": get_var("key"), "named": get_var("recipe") is not None}
    for recipe, source in builds():
        yield {"name": recipe.name, "actions": [doing("sign", recipe, source, **said)]} | ALWAYS

"""The doit tasks of what leaves the project: releases, and the targets that they go to."""

from collections.abc import Iterator
from typing import Any

from doit import get_var, task_params

from .actions import run
from .selection import ALWAYS, FORMAT, SHOWS, Task, builds, chosen, doing

__all__ = [
    "task_history",
    "task_publish",
    "task_registry",
    "task_siblings",
    "task_sign",
    "task_verify",
    "task_yank",
]


def _flag(name: str, help: str) -> Task:
    """An option that is there or not: --NAME."""
    return {"name": name.replace("-", "_"), "long": name, "type": bool, "default": False, "help": help}


PULL_REQUEST = _flag("pull-request", "to the Hub, for review")
DRY_RUN = _flag("dry-run", "only show what would change")
REPLACE = _flag("replace", "drop what the target never had; else that stays on record as it is")
GC = _flag("gc", "remove what no tag needs")


@task_params([PULL_REQUEST, DRY_RUN])  # type: ignore[untyped-decorator]
def task_publish(pull_request: bool, dry_run: bool) -> Iterator[Task]:
    """Publish what is validated: to out/registry, or with target=hub to the Hub (--dry-run, --pull-request).

    Its tasks take the options too, as in `doit publish:4bit --dry-run`; the group's are their defaults.
    """
    params = [PULL_REQUEST | {"default": pull_request}, DRY_RUN | {"default": dry_run}]
    arguments = {"order": _order(), "branch": get_var("branch")}
    for recipe in chosen():
        actions = [(run, ["publish", arguments | {"recipe": recipe.name}])]
        yield {"name": recipe.name, "actions": actions, "params": params} | ALWAYS


def task_sign() -> Iterator[Task]:
    """Sign what is validated, with key=PRIVATE.pem or the key that VOXBUILD_SIGNING_KEY names."""
    said = {"key": get_var("key"), "named": get_var("recipe") is not None}
    for recipe, source in builds():
        yield {"name": recipe.name, "actions": [doing("sign", recipe, source, **said)]} | ALWAYS


def task_verify() -> Iterator[Task]:
    """Prove that what is published is what its manifest says, and what is built here (target= tag= key=)."""
    for recipe in chosen():
        said = {"order": _order(), "recipe": recipe.name, "key": get_var("key")}
        actions = [(run, ["verify", said])]
        yield {"name": recipe.name, "actions": actions} | SHOWS


def task_siblings() -> Task:
    """Put on record, for the tables and plots of cards, what is published: doit siblings [source=] [target=].

    Of each variant the newest tag that is not withdrawn. Those that the target never had are kept on record
    as they are, unless --replace is said; those that are withdrawn, or have no recipe any more, are dropped.
    """
    options = {name: get_var(name) for name in ("source", "target")}
    return {"actions": [(run, ["siblings", options])], "params": [REPLACE]} | SHOWS


def task_yank() -> Task:
    """Withdraw a tag: doit yank recipe=NAME tag=TAG reason='...' [source=] [target=]."""
    return {"actions": [(run, ["yank", _of_recipe() | {"reason": get_var("reason")}])]} | SHOWS


def task_history() -> Task:
    """Show the tags that were published: doit history recipe=NAME [source=] [target=] [--format json]."""
    return {"actions": [(run, ["history", _of_recipe()])], "params": [FORMAT]} | SHOWS


def task_registry() -> Task:
    """Show what out/registry holds (--format json), or remove what no tag needs (--gc, --dry-run)."""
    return {"actions": [(run, ["show_registry", {}])], "params": [FORMAT, GC, DRY_RUN]} | SHOWS


def _order() -> dict[str, Any]:
    """What was said about releases: the fields of `publishing.Order` that are words."""
    said = {name: get_var(name) for name in ("source", "target", "tag")}
    return said | {"named": get_var("recipe") is not None}


def _of_recipe() -> dict[str, Any]:
    return {"order": _order(), "recipe": get_var("recipe")}

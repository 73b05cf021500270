"""The doit tasks of what leaves the project: releases, and the targets that they go to."""

from collections.abc import Iterator
from dataclasses import replace

from doit import get_var, task_params

from voxbuild.artifact.signature import sign_variant
from voxbuild.publish import tags, upload, verify
from voxbuild.publish.order import Order
from voxbuild.publish.registry import catalogue
from voxbuild.publish.survey import record_published

from .actions import on_project
from .selection import ALWAYS, FORMAT, SHOWS, Task, book, builds, doing

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


ORDERED = ("recipe", "source", "target", "tag", "branch", "key")
"""The variables that an order consists of."""
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
    for order in _orders():
        actions = [(on_project, [upload.publish, order])]
        yield {"name": order.recipe, "actions": actions, "params": params} | ALWAYS


def task_sign() -> Iterator[Task]:
    """Sign what is validated, with key=PRIVATE.pem or the key that VOXBUILD_SIGNING_KEY names."""
    said = {"key": get_var("key"), "named": get_var("recipe") is not None}
    for variant in builds():
        yield {"name": variant.recipe.name, "actions": [doing(sign_variant, variant, **said)]} | ALWAYS


def task_verify() -> Iterator[Task]:
    """Prove that what is published is what its manifest says, and what is built here (target= tag= key=)."""
    for order in _orders():
        yield {"name": order.recipe, "actions": [(on_project, [verify.verify, order])]} | SHOWS


def task_siblings() -> Task:
    """Put on record, for the tables and plots of cards, what is published: doit siblings [source=] [target=].

    Of each variant the newest tag that is not withdrawn. Those that the target never had are kept on record
    as they are, unless --replace is said; those that are withdrawn, or have no recipe any more, are dropped.
    """
    return {"actions": [(on_project, [record_published, _order()])], "params": [REPLACE]} | SHOWS


def task_yank() -> Task:
    """Withdraw a tag: doit yank recipe=NAME tag=TAG reason='...' [source=] [target=]."""
    return {"actions": [(on_project, [tags.yank, _order(), get_var("reason")])]} | SHOWS


def task_history() -> Task:
    """Show the tags that were published: doit history recipe=NAME [source=] [target=] [--format json]."""
    return {"actions": [(on_project, [tags.history, _order()])], "params": [FORMAT]} | SHOWS


def task_registry() -> Task:
    """Show what out/registry holds (--format json), or remove what no tag needs (--gc, --dry-run)."""
    return {"actions": [(on_project, [catalogue.show_registry])], "params": [FORMAT, GC, DRY_RUN]} | SHOWS


def _orders() -> list[Order]:
    """One for the recipe that was named, or for each."""
    if get_var("recipe"):
        return [_order()]
    return [replace(_order(), recipe=name, named=False) for name in book().recipes]


def _order() -> Order:
    """What was said on the command line."""
    return Order(**{name: get_var(name) for name in ORDERED})

"""The doit tasks of publishing: sign, publish, verify and withdraw releases."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import doit
from doit import get_var

from voxbuild.publish.order import Order

from .actions import on_project
from .later import Later
from .selection import ALWAYS, FORMAT, SHOWS, Task, book, builds, doing, recipe_names, source_name

if TYPE_CHECKING:
    from voxbuild.artifact import signature
    from voxbuild.publish import survey, tags, upload, verify
    from voxbuild.publish.registry import catalogue
else:
    signature, catalogue = Later("voxbuild.artifact.signature"), Later("voxbuild.publish.registry.catalogue")
    survey, tags, upload, verify = (
        Later(f"voxbuild.publish.{name}") for name in ("survey", "tags", "upload", "verify")
    )


def _flag(name: str, help: str) -> Task:
    """A boolean option: --NAME."""
    return {"name": name.replace("-", "_"), "long": name, "type": bool, "default": False, "help": help}


ORDERED = ("recipe", "target", "tag", "branch", "key")
"""The command-line variables of an order."""
PULL_REQUEST = _flag("pull-request", "to the Hub, for review")
DRY_RUN = _flag("dry-run", "only show what would change")
PRUNE = _flag("prune", "remove files of others from the repository, which are kept else")
REPLACE = _flag("replace", "drop variants that the target never had")
GC = _flag("gc", "remove what no tag needs")


@doit.task_params([PULL_REQUEST, DRY_RUN, PRUNE])  # type: ignore[untyped-decorator]
def task_publish(pull_request: bool, dry_run: bool, prune: bool) -> Iterator[Task]:
    """Publish validated artifacts to out/registry, or to the Hub: target=hub (--dry-run --prune ...).

    Its subtasks take the same options, as in `doit publish:4bit --dry-run`.
    """
    given = (PULL_REQUEST, pull_request), (DRY_RUN, dry_run), (PRUNE, prune)
    params = [flag | {"default": value} for flag, value in given]
    for order in _orders():
        actions = [(on_project, [upload.publish, order])]
        yield {"name": order.recipe, "actions": actions, "params": params} | ALWAYS


def task_sign() -> Iterator[Task]:
    """Sign validated artifacts, with key=PRIVATE.pem or the key that VOXBUILD_SIGNING_KEY names."""
    options = {"key": get_var("key"), "named": get_var("recipe") is not None}
    for variant in builds():
        yield {
            "name": variant.recipe.name,
            "actions": [doing(signature.sign_variant, variant, **options)],
        } | ALWAYS


def task_verify() -> Iterator[Task]:
    """Check published artifacts against their manifests, proofs and builds in out/ (target= tag= key=)."""
    for order in _orders():
        yield {"name": order.recipe, "actions": [(on_project, [verify.verify, order])]} | SHOWS


def task_siblings() -> Task:
    """Record published variants, for the tables and plots of cards: doit siblings [source=] [target=].

    Records each variant's newest tag that is not withdrawn. Variants that the target never had stay on
    record, unless --replace is given; withdrawn ones, and those without a recipe, are dropped.
    """
    return {"actions": [(on_project, [survey.record_published, _order()])], "params": [REPLACE]} | SHOWS


def task_yank() -> Task:
    """Withdraw a tag: doit yank recipe=NAME tag=TAG reason='...' [source=] [target=]."""
    return {"actions": [(on_project, [tags.yank, _order(), get_var("reason")])]} | SHOWS


def task_history() -> Task:
    """Show published tags: doit history recipe=NAME [source=] [target=] [--format json]."""
    return {"actions": [(on_project, [tags.history, _order()])], "params": [FORMAT]} | SHOWS


def task_registry() -> Task:
    """Show the entries of out/registry (--format json), or remove what no tag needs (--gc, --dry-run)."""
    return {"actions": [(on_project, [catalogue.show_registry])], "params": [FORMAT, GC, DRY_RUN]} | SHOWS


def _orders() -> list[Order]:
    """One for each recipe that recipe= names, or one for each recipe."""
    if names := recipe_names():
        return [replace(_order(), recipe=name) for name in names]
    return [replace(_order(), recipe=name, named=False) for name in book().recipes]


def _order() -> Order:
    """The order on the command line."""
    return Order(**{name: get_var(name) for name in ORDERED} | {"source": source_name()})

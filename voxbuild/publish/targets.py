"""The publish targets by name. A new one is a class (see `target.PublishTarget`) and a row here."""

from collections.abc import Callable

from voxbuild.workspace import Workspace

from .target import PublishTarget


def _registry(work: Workspace) -> PublishTarget:
    from .registry.target import LocalRegistry

    return LocalRegistry(work.registry)


def _hub(work: Workspace) -> PublishTarget:
    from .hub.target import Hub

    return Hub()


TARGETS: dict[str, Callable[[Workspace], PublishTarget]] = {"registry": _registry, "hub": _hub}
"""Each imports its own libraries only when it is opened."""
DEFAULT_TARGET = "registry"

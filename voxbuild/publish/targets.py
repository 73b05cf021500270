"""Where releases can go. A new target is a class of its own (see `target.PublishTarget`) and one row here."""

from collections.abc import Callable

from voxbuild.workspace import Workspace

from .hub.target import Hub
from .registry.target import LocalRegistry
from .target import PublishTarget

TARGETS: dict[str, Callable[[Workspace], PublishTarget]] = {
    "registry": lambda work: LocalRegistry(work.registry),
    "hub": lambda work: Hub(),
}
DEFAULT_TARGET = "registry"

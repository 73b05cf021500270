"""The publish targets by name. A new one is a class (see `target.PublishTarget`) and a row here."""

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

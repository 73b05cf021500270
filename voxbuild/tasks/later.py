"""Functions for actions, whose modules are imported when an action runs: `doit list` does not wait for them.

    if TYPE_CHECKING:
        from voxbuild import stages
    else:
        stages = Later("voxbuild.stages")

Then `stages.convert` is a function that imports voxbuild.stages when it is called.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

ASKED_BY_DOIT = "create_doit_tasks"
"""An attribute by which doit recognises what makes tasks, among all that dodo.py imports."""


@dataclass(frozen=True)
class Later:
    """A module that is not imported yet; its attributes are its functions."""

    module: str

    def __getattr__(self, name: str) -> "Function":
        if name == ASKED_BY_DOIT or name.startswith("__"):  # as pickle and copy ask for
            raise AttributeError(name)
        return Function(self.module, name)


@dataclass(frozen=True)
class Function:
    """A function of that module. It can be pickled, as doit does for its worker processes."""

    module: str
    name: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Import the module and call the function."""
        return getattr(import_module(self.module), self.name)(*arguments, **options)

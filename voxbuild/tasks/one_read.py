"""Which variants this run of doit converts in one read of their source: `doit build recipe=4bit,6bit,8bit`.

Each variant keeps a task of its own. The first that runs converts the weights of the others too, as far as
they are not there, so those find them done.
"""

import threading
from multiprocessing import parent_process
from typing import Any

from .actions import reported, variant_of

TASK = "convert"
_to_come: list[str] = []
"""The names of those tasks that this run comes to, and that no other one has converted for."""


def come_to(tasks: list[str]) -> None:
    """Note the tasks of this run, in their order."""
    _to_come[:] = [name for name in tasks if name.startswith(f"{TASK}:")]


@reported
def convert(source: str, recipe: str) -> Any:
    """Convert a variant, and what can be converted with it."""
    from voxbuild import stages

    others = [variant_of(source, other) for other in _taken(source, recipe)]
    return stages.convert(variant_of(source, recipe), others)


def _taken(source: str, recipe: str) -> list[str]:
    """The recipes over the same source that are still to come, each once in a run.

    None with `doit -n`: other workers may be at them.
    """
    if parent_process() or threading.current_thread() is not threading.main_thread():
        return []
    prefix = f"{TASK}:{source}:"
    taken = [name for name in _to_come if name.startswith(prefix)]
    _to_come[:] = [name for name in _to_come if name not in taken]
    return [name.removeprefix(prefix) for name in taken if name != prefix + recipe]

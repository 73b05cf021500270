"""The tasks of a run, each behind its dependencies."""

from collections.abc import Iterator
from typing import Any


def in_order(tasks: Any, names: list[str], seen: set[str] | None = None) -> Iterator[str]:
    """Tasks and all their dependencies, each once, dependencies first."""
    seen = set() if seen is None else seen
    for name in names:
        if name not in seen:
            seen.add(name)
            yield from in_order(tasks, tasks[name].task_dep + tasks[name].setup_tasks, seen)
            yield name

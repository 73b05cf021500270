"""doit's console output, with short failures."""

from typing import Any

from doit.exceptions import UnmetDependency
from doit.reporter import ConsoleReporter

from . import one_read
from .in_order import in_order


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's own, but a failure is only its message, and tasks that it prevents are not reported."""

    _went_on = False
    """Whether a task ran after one that failed: doit orders tasks only by their dependencies."""

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Note which tasks this run comes to."""
        super().initialize(tasks, selected_tasks)
        one_read.come_to(list(in_order(tasks, selected_tasks)))

    def execute_task(self, task: Any) -> None:
        """Print the title of a starting task, unless it only shows something."""
        self._went_on = bool(self.failures)
        if (task.meta or {}).get("title", True):
            super().execute_task(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Report a failure, unless it is that of a dependency."""
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)

    def complete_run(self) -> None:
        """Name the tasks that failed, if their messages are not the last ones."""
        super().complete_run()
        if self._went_on:
            failed = [result["task"].name.lstrip("_") for result in self.failures]
            self.write(f"failed, see above: {', '.join(failed)}\n")

    def _write_failure(self, result: dict[str, Any], write_exception: bool = True) -> None:
        message = result["exception"].get_msg().strip()
        self.write(f"!! {result['task'].name.lstrip('_')}: {message}\n")

"""How doit tells what it does: its own way, but for failures, and for tasks that only show something."""

from typing import Any

from doit.exceptions import UnmetDependency
from doit.reporter import ConsoleReporter


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's own, but a failure is one line and its message; what it keeps from running is not told."""

    def execute_task(self, task: Any) -> None:
        """Say what starts, but for tasks that only show something."""
        if (task.meta or {}).get("title", True):
            super().execute_task(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Report a failure that is the task's own."""
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)

    def _write_failure(self, result: dict[str, Any], write_exception: bool = True) -> None:
        message = result["exception"].get_msg().strip()
        self.write(f"!! {result['task'].name.lstrip('_')}: {message}\n")

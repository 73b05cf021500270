"""doit's record of finished tasks, written whole after each of them, so that a kill forgets none."""

from pathlib import Path
from typing import Any

from doit.dependency import JsonDB

from voxbuild.files import written_whole

LAST = "deps:"
"""What doit sets last of a finished task, see `doit.dependency.Dependency.save_success`."""


class Database(JsonDB):  # type: ignore[misc]
    """The same file as doit's own JSON backend, which writes it only once, when the command ends."""

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Keep a value of a task; with the last one the task is on record."""
        super().set(task_id, dependency, value)
        if dependency == LAST:
            self.dump()

    def dump(self) -> None:
        """Write the file; it is never seen in part. Raises OSError with its name, also for a full disk."""
        try:
            with written_whole(Path(self.name)) as partial:
                partial.write_text(self.codec.encode(self._db), encoding="utf-8")
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.name) from error

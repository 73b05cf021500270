"""Files that are written whole or not at all."""

import fcntl
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    part.write_bytes(data)
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, indent=1).encode())


def read_json(path: Path, default: Any = None) -> Any:
    """`default` if there is no such file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return default


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """One at a time, of the threads of all processes that use this folder. Not to be nested."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

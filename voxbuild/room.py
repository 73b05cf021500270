"""Whether the machine has the disk and the memory that a build needs, before it starts."""

import shutil
from pathlib import Path

import psutil

from .errors import ConvertError
from .estimate import Estimate


def check_room(folder: Path, needed: Estimate, there: int) -> None:
    """Raises ConvertError if what is needed does not fit: `there` are bytes that are in `folder` already."""
    check_disk(folder, needed.disk - there)
    available = psutil.virtual_memory().available
    if available < needed.memory:
        raise ConvertError(f"{_lacking(needed.memory, available)} of memory; end something and run it again")


def check_disk(folder: Path, needed: int) -> None:
    """Raises ConvertError if so many bytes do not fit the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConvertError(f"{folder}: {_lacking(needed, free)} on its disk; make room and run it again")


def _lacking(needed: int, free: int) -> str:
    return f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"

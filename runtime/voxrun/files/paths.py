"""Names and paths of a model's files: plain names, regular files inside their folder, of a bounded size."""

import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_BYTES = 8 * 2**20
"""Default limit for a JSON file; real ones have about 100 kB."""


class StrictError(ValueError):
    """A file that is refused; the message gives the reason, not the file's name."""


def reason(error: OSError | StrictError) -> str:
    """Why a file was not read, without its name."""
    return str(error.strerror if isinstance(error, OSError) else error)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file's bytes. Raises StrictError if it is larger or not a regular file, OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size  # `read` allocates what it is asked for
        text = file.read(size + 1) if size <= limit else None
    if text is None or len(text) > size:
        raise StrictError(f"larger than {limit:,} bytes, which is not plausible")
    return text


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file. Raises StrictError if it is anything else, OSError.

    The open file itself is examined, so that it cannot be exchanged; a pipe without a writer does not block.
    """
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except ValueError as error:  # a NUL character, or half of a surrogate pair
        raise StrictError("no file can have that name") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StrictError("not a regular file")
    return file


def member(folder: Path, name: str) -> Path:
    """The path of a file in a model's folder, existing or not. Raises StrictError if a link leads out of it.

    In the Hub's cache and in a registry, files are links to blobs of the same repository.
    """
    path, root = folder / name, Path(os.path.realpath(folder))
    roots, repository = [str(root)], root.parent.parent
    if root.parent.name == "snapshots" and repository.name.startswith("models--"):
        roots.append(str(repository / "blobs"))
    real = os.path.realpath(path)
    if not any(os.path.commonpath([real, each]) == each for each in roots):
        raise StrictError("a link that leads out of the folder")
    return path


def is_file(path: Path) -> bool:
    """Whether a regular file exists; Path.is_file raises for a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113


TOOLS = {".gitattributes", ".git", ".cache", ".huggingface", ".DS_Store"}
"""Files that the Hub, its client, git and macOS put beside an artifact's. They are never loaded."""
LONGEST_NAME, LONGEST_PART = 1000, 255
"""Bytes of a path, and of each name in it, that every file system allows."""


def is_plain(name: str) -> bool:
    """Whether a name is a relative path that stays below its folder and is valid on every file system."""
    if len(name) > LONGEST_NAME or not name.isprintable():
        return False
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and not re.search(r"[\\:]", name)
    short = len(name.encode()) <= LONGEST_NAME and all(len(part.encode()) <= LONGEST_PART for part in parts)
    return plain and short and bool(parts) and parts[0] != "/" and ".." not in parts


def is_tools(name: str) -> bool:
    """Whether a plain name lies in TOOLS, in any case of letters: such a file is never verified."""
    return name.partition("/")[0].casefold() in {tool.casefold() for tool in TOOLS}


def fitting(stem: str, ending: str) -> str:
    """The name `stem` + `ending`, its stem cut at a character if it would be too long for a file system."""
    room = LONGEST_PART - len(os.fsencode(ending))
    kept = os.fsencode(stem)
    return (stem if len(kept) <= room else kept[:room].decode(errors="ignore")) + ending

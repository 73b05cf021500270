"""Names and paths of a model's files: plain, inside their folder, regular, of a bounded size."""

import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_BYTES = 8 * 2**20
"""Of a JSON file, unless its reader says otherwise; those that there are have some 100 kB at most."""


class StrictError(ValueError):
    """A file that is not read; the message says why, not which."""


def reason(error: OSError | StrictError) -> str:
    """Why a file was not read, without its name."""
    return str(error.strerror if isinstance(error, OSError) else error)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file's bytes. Raises StrictError if it is larger or something else, OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size  # `read` takes the memory that it is told at once
        text = file.read(size + 1) if size <= limit else None
    if text is None or len(text) > size:
        raise StrictError(f"larger than {limit:,} bytes, which is no plausible size for it")
    return text


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open. Raises StrictError if it is something else, OSError.

    What is looked at is what is read, and a pipe with nobody at its other end is not waited for.
    """
    file = open(path, "rb", opener=_open)  # noqa: SIM115 - Path.open has no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StrictError("not a regular file")
    return file


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def member(folder: Path, name: str) -> Path:
    """The path of a file in a model's folder, there or not. Raises StrictError if a link leads out of it.

    In the Hub's cache, and in a registry, files are links into the same repository's blobs.
    """
    path, root = folder / name, os.path.realpath(folder)
    real = os.path.realpath(path)
    if not _within(real, root) and not _within(real, _blobs(root)):
        raise StrictError("a link that leads out of the folder")
    return path


def is_file(path: Path) -> bool:
    """Whether a regular file is there; Path.is_file raises for a name that is too long for any."""
    return os.path.isfile(path)  # noqa: PTH113


def _within(path: str, root: str | None) -> bool:
    return root is not None and os.path.commonpath([path, root]) == root


def _blobs(root: str) -> str | None:
    """Of a snapshot in the Hub's cache, models--OWNER--NAME/snapshots/COMMIT: where its files lie."""
    snapshots, repository = Path(root).parent, Path(root).parent.parent
    if snapshots.name != "snapshots" or not repository.name.startswith("models--"):
        return None
    return str(repository / "blobs")


TOOLS = {".gitattributes", ".git", ".cache", ".huggingface", ".DS_Store"}
"""What the Hub, its client, git and macOS put beside an artifact's files. Nothing of it is ever loaded."""
LONGEST_NAME, LONGEST_PART = 1000, 255
"""Bytes of a path, and of each name in it, that there can be on any disk."""


def is_plain(name: str) -> bool:
    """Whether a name leads to a file below a folder wherever that lies.

    It is relative, nothing climbs, and any disk takes it.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        return False
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and not re.search(r"[\\:]", name)
    short = len(name.encode()) <= LONGEST_NAME and all(len(part.encode()) <= LONGEST_PART for part in parts)
    return plain and short and bool(parts) and parts[0] != "/" and ".." not in parts


def is_tools(name: str) -> bool:
    """Whether a plain name lies in TOOLS, on a disk that minds no capitals too: it is never proven."""
    return name.partition("/")[0].casefold() in {tool.casefold() for tool in TOOLS}

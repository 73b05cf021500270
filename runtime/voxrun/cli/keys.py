"""The API keys of a server, from the command line, a file and the environment."""

import argparse
import os
import re
from pathlib import Path

from voxrun.errors import VoxrunError
from voxrun.messages import shown

KEY_VARIABLE = "VOXRUN_API_KEY"
LONGEST_FILE = 2**20
"""Bytes."""


def key(text: str) -> str:
    """A key as clients can send it in a header. Raises argparse.ArgumentTypeError, which does not tell it."""
    if not re.fullmatch(r"[!-~]+", text):
        raise argparse.ArgumentTypeError("a key has ASCII letters, digits and signs only, and no spaces")
    return text


def keys_of(given: str | None, file: Path | None) -> tuple[str, ...]:
    """All keys. Raises VoxrunError."""
    keys = [] if given is None else [given]
    if (variable := os.environ.get(KEY_VARIABLE)) is not None:
        keys += _valid([variable], f"${KEY_VARIABLE}")
    if file is not None:
        keys += _valid(_lines(file), f"--api-key-file {file}")
    return tuple(keys)


def _lines(path: Path) -> list[str]:
    """The keys in a file; empty lines and those that begin with # are none."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = [line.strip() for line in file.read(LONGEST_FILE).splitlines()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise VoxrunError(f"--api-key-file {shown(str(path))}: cannot be read ({reason})") from error
    return [line for line in lines if line and not line.startswith("#")]


def _valid(keys: list[str], where: str) -> list[str]:
    if not keys or not all(keys):
        raise VoxrunError(f"{where}: has no key; leave it out to serve without one")
    for number, each in enumerate(keys, 1):
        try:
            key(each)
        except argparse.ArgumentTypeError as error:
            raise VoxrunError(f"{where}: key {number}: {error}") from error
    return keys

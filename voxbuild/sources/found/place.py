"""A folder, or a repository on the Hub at one commit, in which a checkpoint or an adapter is looked for."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from voxbuild.errors import SourceError
from voxbuild.recipes.origins.folder import LocalFolder
from voxbuild.recipes.origins.hub import HubFiles, Repo
from voxrun.errors import ConfigError
from voxrun.files.objects import read_json
from voxrun.files.paths import StrictError, is_plain, read_bytes, reason
from voxrun.messages import shown

ABSOLUTE = Path()
"""What the paths of a found source are relative to: nothing, they are absolute."""
MAX_TEXT = 2**20
"""Limit of a README in bytes."""
SNAPSHOT = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/[^/]+$")
"""A repository's folder in the Hub client's cache."""
TIMEOUT = 30.0
"""Seconds to wait for the Hub's answer."""
COMMIT = re.compile(r"[0-9a-f]{40}")
REPO: pydantic.TypeAdapter[str] = pydantic.TypeAdapter(Repo)


@dataclass(frozen=True)
class Place:
    """What is known of a folder or a repository before any of its weights are read."""

    key: str
    """Its absolute path, or OWNER/NAME."""
    title: str
    """What its owner calls it."""
    origin: LocalFolder | HubFiles
    files: Mapping[str, dict[str, Any]]
    """Name -> the fields of a `SourceFile`; of a folder, the files that lie directly in it."""
    private: bool = False
    """Whether the repository is private or gated."""

    def has(self, name: str) -> bool:
        """Whether a file is there, perhaps in a folder below."""
        folder = self.origin.folder(ABSOLUTE)
        return name in self.files or bool(folder and is_plain(name) and (folder / name).is_file())

    def file(self, name: str) -> dict[str, Any]:
        """The fields of the `SourceFile`."""
        return self.files.get(name, {"name": name})

    def text(self, name: str) -> str:
        """A small text file. Raises SourceError, UnicodeError."""
        path = self.origin.file(ABSOLUTE, name)
        try:
            return read_bytes(path, MAX_TEXT).decode("utf-8")
        except (OSError, StrictError) as error:
            raise SourceError(f"{path}: {reason(error)}") from error

    def json(self, name: str) -> dict[str, Any]:
        """A small JSON object; empty if the file is missing. Raises SourceError."""
        if name not in self.files:
            return {}
        try:
            return read_json(self.origin.file(ABSOLUTE, name))
        except ConfigError as error:
            raise SourceError(str(error)) from error


def is_repo(text: str) -> bool:
    """Whether it is written as OWNER/NAME."""
    try:
        return bool(REPO.validate_python(text))
    except pydantic.ValidationError:
        return False


def is_path(text: str) -> bool:
    """Whether it can only be meant as a path, or is one."""
    return text.startswith(("/", "~", "./", "../")) or text in (".", "..") or os.path.lexists(text)


def absolute(text: str) -> str:
    """The absolute path; links are not resolved, so that a link may lead to other weights tomorrow."""
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


def folder_place(text: str) -> Place:
    """A folder. Raises SourceError if it is none, or cannot be read."""
    folder = Path(absolute(text))
    if not folder.is_dir():
        what = "this is a file; name its folder" if folder.exists() else "there is no such folder"
        raise SourceError(f"{folder}: {what}")
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
        dangling = sorted(p.name for p in folder.iterdir() if p.is_symlink() and not p.exists())
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}") from error
    if dangling:
        raise SourceError(f"{folder / dangling[0]}: a link to a file that does not exist; download it again")
    cached = SNAPSHOT.search(str(folder))
    files = {name: {"name": name} for name in names if is_plain(name)}
    return Place(str(folder), cached[2] if cached else folder.name, LocalFolder(str(folder)), files)


def hub_place(repo: str, revision: str) -> Place:
    """A repository at the commit to which a branch, a tag or a commit leads.

    Raises SourceError; UnreachableError if the Hub cannot be asked.
    """
    import huggingface_hub

    with HubFiles.model_construct(repo=repo, revision=revision).clear_errors():
        info = huggingface_hub.HfApi().model_info(
            repo, revision=revision, files_metadata=True, timeout=TIMEOUT
        )
    if not COMMIT.fullmatch(info.sha or ""):
        raise SourceError(f"{repo} at {revision}: the Hub says no commit ({shown(info.sha)})")
    files = {each.rfilename: _facts(each) for each in info.siblings or () if is_plain(each.rfilename)}
    origin = HubFiles(repo=repo, revision=str(info.sha))
    return Place(repo, repo.split("/")[1], origin, files, bool(info.private or info.gated))


def _facts(sibling: Any) -> dict[str, Any]:
    """A file's size and, if it is large, its hash."""
    hashed = {"sha256": sibling.lfs.sha256} if sibling.lfs else {}
    return {"name": sibling.rfilename, "size": sibling.size} | hashed

"""Reading a local registry, which is untrusted: a folder in the layout of the Hub's cache.

    models--OWNER--NAME/blobs/SHA256         the files, named by their hashes
    models--OWNER--NAME/snapshots/COMMIT/    relative links to them, by their real names
    models--OWNER--NAME/refs/TAG             the 40 hexadecimal digits of a commit
    models--OWNER--NAME/refs/main            the commit that is used if no tag is given
    models--OWNER--NAME/refs/withdrawn-TAG   marks a tag as withdrawn; the tag itself stays
    models--OWNER--NAME/history.json         tags with dates and reasons for withdrawal, oldest first

huggingface_hub reads the first four when it is offline and HF_HUB_CACHE names the folder.
"""

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.errors import ModelError
from voxrun.files.paths import StrictError, member
from voxrun.files.strict import load
from voxrun.messages import sentence, shown

LATEST = "main"
WITHDRAWN = "withdrawn-"
HISTORY = "history.json"
COMMIT = re.compile("[0-9a-f]{40}")
REVISION = re.compile(r"\w[\w.-]*")
REPO_FOLDER = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
HISTORY_LIMIT = 2**22
"""Bytes: about 20,000 tags."""
REASON_LIMIT = 500
"""Characters."""


@dataclass(frozen=True)
class Record:
    """An entry of the history."""

    tag: str
    commit: str
    date: str
    """ISO 8601 in UTC, by the publisher's clock; entries are in the order of the file, not of the dates."""
    reason: str = ""
    """Why the tag was withdrawn, if it was."""


class Registry:
    """The repositories below a folder. Every method raises ModelError for an invalid registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, repo: str) -> Path:
        """The folder of a repository `owner/name`, existing or not."""
        folder = "models--" + repo.replace("/", "--")
        if repo.count("/") != 1 or _repo_of(folder) != repo:
            raise ModelError(f"{repo} is no name of a repository, owner/name")
        return self.folder / folder

    def repos(self) -> list[str]:
        """The repositories that have a tag, as owner/name."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        repos = [repo for name in sorted(names) if (repo := _repo_of(name))]
        return [repo for repo in repos if self.tags(repo)]

    def find(self, name: str) -> str:
        """The only repository of this name, given with or without its owner."""
        there = self.repos()
        found = [repo for repo in there if name in (repo, repo.split("/")[1])]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(
                f"{name} may be {' or '.join(found)} in the registry {self.folder}: name the owner too"
            )
        known = f"which holds {', '.join(there)}" if there else "which is empty"
        raise ModelError(f"{name} is not in the registry {self.folder}, {known}")

    def tags(self, repo: str) -> list[str]:
        """The names of its tags, withdrawn ones included, in no particular order."""
        return [name for name in self._refs(repo) if name != LATEST and not name.startswith(WITHDRAWN)]

    def _refs(self, repo: str) -> list[str]:
        """All names of refs; folders are the Hub client's, for pull requests."""
        refs = self.path(repo) / "refs"
        paths = sorted(refs.iterdir()) if refs.is_dir() else []
        names = [path.name for path in paths if path.is_symlink() or not path.is_dir()]
        return [name for name in names if REVISION.fullmatch(name)]

    def commit(self, repo: str, revision: str) -> str | None:
        """The commit of a tag, of main, or of a commit itself; None if it is not there."""
        if COMMIT.fullmatch(revision):
            return revision if (self.path(repo) / "snapshots" / revision).is_dir() else None
        if not REVISION.fullmatch(revision):
            raise ModelError(f"{revision!r} is no tag and no commit")
        return read_ref(self.path(repo) / "refs" / revision)

    def snapshot(self, repo: str, commit: str) -> Path:
        """The folder of a commit, in which no link leads out of its repository."""
        root = self.path(repo)
        folder = root / "snapshots" / commit
        if not folder.is_dir():
            raise ModelError(f"{folder} is missing: the registry is damaged; publish it again")
        _check_inside(root, folder)
        for path in folder.rglob("*"):
            _check_inside(folder, path)
        return folder

    def history(self, repo: str) -> list[Record]:
        """The tags that exist, oldest first; tags without an entry in the file come before all others."""
        there = {tag: self.commit(repo, tag) or "" for tag in self.tags(repo)}
        records = [r for r in _read_history(self.path(repo) / HISTORY) if there.get(r.tag) == r.commit]
        known = {record.tag for record in records}
        return [Record(tag, commit, "") for tag, commit in there.items() if tag not in known] + records

    def withdrawn_at(self, repo: str, commit: str) -> dict[str, str]:
        """The withdrawn tags of a commit, with the reasons."""
        marks = [name for name in self._refs(repo) if name.startswith(WITHDRAWN)]
        tags = [mark.removeprefix(WITHDRAWN) for mark in marks if self.commit(repo, mark) == commit]
        return {tag: reason for tag in tags if (reason := self.withdrawn(repo, tag))}

    def withdrawn(self, repo: str, tag: str) -> str | None:
        """The reason for which a tag was withdrawn; None if it was not."""
        return self.withdrawals(repo, [r for r in self.history(repo) if r.tag == tag]).get(tag)

    def withdrawals(self, repo: str, records: Iterable[Record]) -> dict[str, str]:
        """The withdrawn tags among these records, with the reasons."""
        return {
            record.tag: record.reason or "no reason was recorded"
            for record in records
            if self.commit(repo, WITHDRAWN + record.tag) == record.commit
        }


def _check_inside(folder: Path, path: Path) -> None:
    try:
        member(folder, str(path.relative_to(folder)))
    except StrictError as error:
        raise ModelError(f"{path} leads out of the registry: it is not to be trusted") from error


def _repo_of(folder: str) -> str | None:
    """models--owner--name -> owner/name."""
    match = REPO_FOLDER.fullmatch(folder)
    if not match or "--" in match[2] or ".." in folder:
        return None
    return f"{match[1]}/{match[2]}"


def read_ref(path: Path) -> str | None:
    """The commit in a ref's file; None if there is no such file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ModelError(f"{path}: no ref, which is a plain file that holds a commit")
        with path.open("rb") as file:
            content = file.read(41).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    if not COMMIT.fullmatch(content):
        raise ModelError(f"{path}: {shown(content)} is no commit, which has 40 hexadecimal digits")
    return content


def _read_history(path: Path) -> list[Record]:
    try:
        entries = load(member(path.parent, path.name), HISTORY_LIMIT)
        if not isinstance(entries, list):
            raise StrictError("a list was expected")
        return [_record(entry) for entry in entries]
    except FileNotFoundError:
        return []
    except (OSError, StrictError) as error:
        raise ModelError(
            f"{path}: no history of tags ({error}); delete it, which loses the tags' order and why they were"
            " withdrawn"
        ) from error


def _record(entry: Any) -> Record:
    names = {"tag", "commit", "date"}
    if not isinstance(entry, dict) or not names <= entry.keys() <= names | {"reason"}:
        raise StrictError(f"{shown(entry)} is no tag's entry")
    if not all(isinstance(value, str) for value in entry.values()):
        raise StrictError(f"something of {shown(entry)} is no text")
    date, reason = (sentence(entry.get(name, ""), REASON_LIMIT) for name in ("date", "reason"))
    return Record(entry["tag"], entry["commit"], date, reason)

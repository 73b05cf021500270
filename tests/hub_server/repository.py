"""A repository in files: `repo.json` with its refs and settings, and one file for each commit.

Each property reads anew, so that what another process wrote is seen.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from .disk import read_json, write_json
from .web import Refusal

Tree = dict[str, dict[str, Any]]
"""Path -> a file's entry, as the Hub lists it, and `sha256` besides."""


def iso(moment: float) -> str:
    """Seconds since 1970 as the Hub writes dates."""
    date = datetime.fromtimestamp(moment, UTC)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03}Z"


class Trees(Mapping[str, Tree]):
    """Commit -> its tree."""

    def __init__(self, repo: "Repo") -> None:
        self._repo = repo

    def __getitem__(self, commit: str) -> Tree:
        return dict(self._repo.commit_info(commit)["tree"])

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in (self._repo.folder / "commits").glob("*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Repo:
    """A repository of one kind (models, datasets, spaces) in its folder."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        self.folder, self.kind, self.name = folder, kind, name

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] | None = read_json(self.folder / "repo.json")
        if state is None:  # deleted or renamed since
            raise Refusal(404, "RepoNotFound", "Repository not found")
        return state

    def save(self, **changes: Any) -> None:
        write_json(self.folder / "repo.json", self.state | changes)

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.state["settings"]
        return settings

    @property
    def branches(self) -> dict[str, str]:
        """Name -> commit."""
        return dict(self.state["branches"])

    @property
    def tags(self) -> dict[str, str]:
        """Name -> commit."""
        return {name: tag["commit"] for name, tag in self.state["tags"].items()}

    @property
    def tag_messages(self) -> dict[str, str | None]:
        return {name: tag["message"] for name, tag in self.state["tags"].items()}

    @property
    def pulls(self) -> dict[str, dict[str, Any]]:
        """Number -> commit, base, title, description, status (open, merged, closed), author, date."""
        return dict(self.state["pulls"])

    @property
    def head(self) -> str:
        return self.branches["main"]

    @property
    def commits(self) -> Trees:
        return Trees(self)

    def commit_info(self, commit: str) -> dict[str, Any]:
        """id, parent, title, message, date, authors, tree."""
        found: dict[str, Any] | None = read_json(self.folder / "commits" / f"{commit}.json")
        if found is None:
            raise KeyError(commit)
        return found | {"id": commit}

    def write_commit(self, tree: Tree, parent: str | None, **facts: Any) -> str:
        """A commit that no ref names yet; its id is the hash of what it says."""
        said = {"parent": parent, **facts, "tree": tree}
        commit = hashlib.sha1(json.dumps(said).encode()).hexdigest()
        write_json(self.folder / "commits" / f"{commit}.json", said)
        return commit

    def history(self, commit: str | None) -> Iterator[dict[str, Any]]:
        """The commit and those before it, newest first."""
        while commit is not None:
            info = self.commit_info(commit)
            yield info
            commit = info["parent"]

    def last_change(self, commit: str, path: str) -> dict[str, Any]:
        """The commit, at or before this one, that last changed a file."""
        log = list(self.history(commit))
        entry = log[0]["tree"].get(path)
        *_, last = takewhile(lambda info: info["tree"].get(path) == entry, log)
        return last

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag, refs/... or a commit names."""
        state = self.state
        names = {name: tag["commit"] for name, tag in state["tags"].items()}
        names |= {f"refs/tags/{name}": commit for name, commit in names.items()}
        names |= {f"refs/pr/{number}": pull["commit"] for number, pull in state["pulls"].items()}
        names |= state["branches"] | {f"refs/heads/{n}": c for n, c in state["branches"].items()}
        commit = str(names.get(revision, revision))
        if "/" in commit or not (self.folder / "commits" / f"{commit}.json").exists():
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

"""Data sets on the Hub: what all clip sets that lie in one have in common."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import pydantic

from voxbuild.errors import SourceError
from voxbuild.files import read_state, write_json, written_whole
from voxbuild.recipes.hub_terms import Repo
from voxbuild.recipes.schema import Strict
from voxrun.files.hashes import sha256_of

from .base import Corpus
from .hub import HUB, Commit
from .hub_errors import clear_errors

Limit = Annotated[int, pydantic.Field(gt=0)]
"""Only the first clips, as many."""
WILDCARDS = re.compile(r"[*?[]")


class HubDataset(Strict, Corpus):
    """A data set at one commit. Its files are downloaded into the Hub's cache when they are needed."""

    repo: Repo
    revision: Commit

    @property
    def url(self) -> str:
        """The data set's page."""
        return f"{HUB}/datasets/{self.repo}"

    def pinned(self) -> dict[str, Any]:
        """The data set at its commit."""
        return {"uri": f"{self.url}/tree/{self.revision}", "digest": {"gitCommit": self.revision}}

    def download(self, name: str) -> Path:
        """The path of a file in the cache. Raises SourceError."""
        import huggingface_hub

        with clear_errors(self.repo, self.revision):
            path = huggingface_hub.hf_hub_download(
                self.repo, name, repo_type="dataset", revision=self.revision
            )
        return Path(path)

    def matching(self, pattern: str) -> list[str]:
        """The names of the files that match, sorted; a wildcard does not match `/`. Raises SourceError.

        The Hub is asked once: what a commit holds does not change, so the answer is kept beside its files.
        """
        if not WILDCARDS.search(pattern):
            return [pattern]
        folder = literal_part(pattern).rpartition("/")[0]
        found = sorted(name for name in self._listed(folder) if _matches(name, pattern))
        if not found:
            raise SourceError(f"{self.repo}: no file matches {pattern} at {self.revision}")
        return found

    def _listed(self, folder: str) -> list[str]:
        """The names of all files in a folder and below it."""
        import huggingface_hub

        kept = self._snapshot() / folder / ".voxbuild-files.json"
        if isinstance(names := read_state(kept), list):
            return names
        with clear_errors(self.repo, self.revision):
            entries = huggingface_hub.HfApi().list_repo_tree(
                self.repo, folder or None, recursive=True, revision=self.revision, repo_type="dataset"
            )
            names = [entry.path for entry in entries if isinstance(entry, huggingface_hub.RepoFile)]
        write_json(kept, names)
        return names

    def _snapshot(self) -> Path:
        """The folder in the Hub's cache that has the commit's files."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        owner = repo_folder_name(repo_id=self.repo, repo_type="dataset")
        return Path(constants.HF_HUB_CACHE) / owner / "snapshots" / self.revision


def literal_part(pattern: str) -> str:
    """The part before the first wildcard, with which the names of all matching files begin."""
    return WILDCARDS.split(pattern, maxsplit=1)[0]


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def check_whole(path: Path) -> None:
    """Raise SourceError if a large file in the Hub's cache has not the hash that the Hub gave for it.

    The client checks sizes only. The cache calls such a file by its sha256.
    """
    expected = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", expected) and sha256_of(path) != expected:
        raise SourceError(f"{path}: damaged, as its sha256 shows; delete {path.resolve()} and try again")


def whole_files(folder: Path) -> list[Path]:
    """The recordings in a folder, made if necessary. An empty file is what a crash of the machine left."""
    folder.mkdir(exist_ok=True)
    with os.scandir(folder) as entries:
        named = (entry for entry in entries if not entry.name.startswith("."))  # others may vanish meanwhile
        return [Path(entry) for entry in named if entry.stat().st_size]


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path for a recording, which appears whole or not at all. Raises SourceError."""
    try:
        with written_whole(path) as partial:
            yield partial
    except OSError as error:
        if error.errno is None:  # of what is read, such as a damaged archive
            raise
        raise SourceError(f"{path}: the recording cannot be written ({error.strerror})") from error

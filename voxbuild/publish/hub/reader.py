"""Reading a repository on the Hub: its refs, commits, and files with their hashes."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.errors import MissingError, PublishError
from voxbuild.files import STATE_BYTES
from voxbuild.publish.beside import listed_by, stale
from voxrun.trust.foreign import would_be_read
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import COMMIT, LATEST

from .client import again, is_missing, plain

if TYPE_CHECKING:
    from huggingface_hub.hf_api import GitCommitInfo, HfApi, RepoFile

MAIN = LATEST
OWN = (".gitattributes",)
"""Files that the Hub adds to a new repository."""
SMALL = 16 * 2**20
"""Bytes: the largest file outside LFS."""


class Refs(NamedTuple):
    """Name -> commit."""

    tags: Mapping[str, str]
    branches: Mapping[str, str]


@dataclass(frozen=True)
class Beside:
    """The files at a revision that a release does not replace."""

    names: Collection[str]
    """Those at the revision, replaced ones included."""
    stale: set[str]
    """Those that an earlier release put there."""
    foreign: set[str]
    released: bool
    """Whether the revision holds a release."""


class HubFiles:
    """One repository. Its methods raise the client's errors and PublishError."""

    def __init__(self, api: "HfApi", repo: str, private: bool = False) -> None:
        self._api, self.name, self._private = api, repo, private
        self.visibility = "private" if private else "public"
        """Of the repository; of one that does not exist, what it will be."""

    def head(self, branch: str = MAIN) -> str:
        """The commit of a branch. Raises PublishError if the repository was renamed, or must be private and
        is not.
        """
        info = again(lambda: self._api.model_info(self.name, revision=None if branch == MAIN else branch))
        if info.id.lower() != self.name.lower():
            raise PublishError(
                f"{self.name}: renamed to {plain(info.id)} on the Hub; publish under that name or a new one"
            )
        self.visibility = "private" if info.private else "public"
        if self._private and not info.private:
            raise PublishError(
                f"{self.name}: the repository is public, but the recipe or its source says `private: true`;"
                " make it private on the Hub, choose another with repo=OWNER/NAME, or say private=no"
            )
        return str(info.sha)

    def exists(self, branch: str = MAIN) -> bool:
        """Whether the repository exists and has the branch."""
        try:
            self.head(branch)
        except Exception as error:
            if not is_missing(error):
                raise
            return False
        return True

    def refs(self) -> Refs:
        """All tags and branches, by one call."""
        refs = again(lambda: self._api.list_repo_refs(self.name))
        tags = {tag.name: tag.target_commit for tag in refs.tags}
        return Refs(tags, {branch.name: branch.target_commit for branch in refs.branches})

    def commits(self, revision: str = MAIN) -> "list[GitCommitInfo]":
        """The history of a revision, newest first. The dates are the server's and cannot be verified."""
        return self._api.list_repo_commits(self.name, revision=revision)

    def resolve(self, revision: str) -> str:
        """The commit of a tag, even if a branch has the same name; other revisions are returned unchanged."""
        if revision == MAIN or COMMIT.fullmatch(revision):
            return revision
        return self.refs().tags.get(revision, revision)

    def files(self, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256; files outside LFS are downloaded, as the Hub lists no sha256 for them."""
        listed = self._listing(revision)
        return {name: Entry(file.size, self._sha256(revision, file)) for name, file in listed.items()}

    def read(self, revision: str, name: str, limit: int) -> bytes:
        """A file of at most `limit` bytes, checked against the Hub's hash."""
        from huggingface_hub.hf_api import RepoFile

        found = again(lambda: self._api.get_paths_info(self.name, [name], revision=revision))
        if not found or not isinstance(found[0], RepoFile):
            raise MissingError(f"{self.name}: there is no file {name} at {revision}")
        return self._download(revision, found[0], limit)

    def blobs(self, revision: str, *names: str) -> dict[str, str]:
        """Name -> git hash of those files that exist; equal files have equal hashes."""
        from huggingface_hub.hf_api import RepoFile

        found = again(lambda: self._api.get_paths_info(self.name, list(names), revision=revision))
        return {file.path: file.blob_id for file in found if isinstance(file, RepoFile)}

    def names(self, revision: str) -> set[str]:
        """The paths of all files."""
        return set(self._listing(revision))

    def release(self, revision: str) -> dict[str, Entry]:
        """The files of the release that a revision holds, manifest and signature included; else none."""
        listed = self._listing(revision)
        entries = self._listed_by_manifest(revision, listed)
        own = [name for name in (MANIFEST, SIGNATURE) if entries and name in listed]
        return entries | {n: Entry(listed[n].size, self._sha256(revision, listed[n])) for n in own}

    def beside(self, revision: str, wanted: Collection[str]) -> Beside:
        """The files at a revision apart from the wanted ones."""
        listed = self._listing(revision)
        entries = self._listed_by_manifest(revision, listed)
        others = {name: file for name, file in listed.items() if name not in wanted}
        compared = {
            name: Entry(file.size, self._sha256(revision, file))
            for name, file in others.items()
            if name in (MANIFEST, SIGNATURE) or (name in entries and _may_be(file, entries[name]))
        }
        left = stale(compared, entries)
        return Beside(listed.keys(), left, others.keys() - left, bool(entries))

    def differences(
        self,
        revision: str,
        wanted: Mapping[str, Entry],
        apart: Collection[str] = (),
        without: Collection[str] = (),
    ) -> list[str]:
        """Names of files that are missing or different, that are among `without`, or that would be read as a
        part of a wanted release; those in `apart` are ignored.
        """
        listed = {name: file for name, file in self._listing(revision).items() if name not in apart}
        wanted = {name: entry for name, entry in wanted.items() if name not in apart}
        others = listed.keys() - wanted.keys()
        different = wanted.keys() - listed.keys() | others & set(without) | set(in_the_way(others, wanted))
        different |= {n for n in wanted.keys() & listed.keys() if not _may_be(listed[n], wanted[n])}
        if not different:  # else the downloads are not needed
            different = {n for n in wanted if self._sha256(revision, listed[n]) != wanted[n].sha256}
        return sorted(different)

    def _listed_by_manifest(self, revision: str, listed: "Mapping[str, RepoFile]") -> dict[str, Entry]:
        if MANIFEST not in listed or listed[MANIFEST].size > STATE_BYTES:
            return {}
        return listed_by(self._download(revision, listed[MANIFEST], STATE_BYTES))

    def _listing(self, revision: str) -> "dict[str, RepoFile]":
        from huggingface_hub.hf_api import RepoFile

        items = self._api.list_repo_tree(self.name, recursive=True, revision=revision)
        return {item.path: item for item in items if isinstance(item, RepoFile) and item.path not in OWN}

    def _sha256(self, revision: str, file: "RepoFile") -> str:
        if file.lfs:
            return file.lfs.sha256
        return hashlib.sha256(self._download(revision, file, SMALL)).hexdigest()

    def _download(self, revision: str, file: "RepoFile", limit: int) -> bytes:
        if file.size > limit:
            raise PublishError(
                f"{self.name}: {plain(file.path)} at {revision} has {file.size:,} bytes, more than {limit:,}"
            )
        data = again(lambda: self._get(revision, file.path, file.size))
        if not _matches(data, file):
            raise PublishError(
                f"{self.name}: {plain(file.path)} at {revision} does not have the hash that the Hub lists;"
                " try again"
            )
        return data

    def _get(self, revision: str, name: str, size: int) -> bytes:
        """The first `size` + 1 bytes of a file, or all if it has fewer."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
        )

        url = hf_hub_url(self.name, name, revision=revision, endpoint=self._api.endpoint)
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        data = bytearray()
        with get_session().stream("GET", url, headers=headers) as response:
            if response.is_error:
                response.read()  # the client's error takes the reason from it
            hf_raise_for_status(response)
            for part in response.iter_bytes():
                data += part
                if len(data) > size:
                    break
        return bytes(data[: size + 1])


def in_the_way(others: Collection[str], wanted: Collection[str]) -> list[str]:
    """Those of the other names that would be read or verified as a part of the wanted release."""
    if MANIFEST not in wanted:
        return []
    return [name for name in sorted(others) if name == SIGNATURE or would_be_read([name])]


def _may_be(file: "RepoFile", wanted: Entry) -> bool:
    """Whether a file may be the wanted one, by its size and LFS hash."""
    return file.size == wanted.size and (file.lfs is None or file.lfs.sha256 == wanted.sha256)


def _matches(data: bytes, file: "RepoFile") -> bool:
    from huggingface_hub.utils.sha import git_hash

    if file.lfs:
        return hashlib.sha256(data).hexdigest() == file.lfs.sha256
    return bool(git_hash(data) == file.blob_id)

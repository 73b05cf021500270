"""A repository on the Hub, read: its refs, commits and files, these by their hashes."""

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from voxbuild.errors import MissingError, PublishError
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import COMMIT, LATEST

from .client import again, is_missing, plain

if TYPE_CHECKING:
    from huggingface_hub.hf_api import GitCommitInfo, HfApi, RepoFile

MAIN = LATEST
OWN = (".gitattributes",)
"""The Hub's own files: it makes them with the repository."""
SMALL = 16 * 2**20
"""Bytes. What is not in LFS is smaller: the Hub takes larger files into LFS alone."""


class Refs(NamedTuple):
    """Names and their commits."""

    tags: Mapping[str, str]
    branches: Mapping[str, str]


class HubFiles:
    """One repository. What its methods raise is the client's, but for what PublishError says better."""

    def __init__(self, api: "HfApi", repo: str) -> None:
        self._api, self.name = api, repo

    def head(self, branch: str = MAIN) -> str:
        """The commit of a branch. Raises PublishError if the repository has another name by now."""
        info = again(lambda: self._api.model_info(self.name, revision=None if branch == MAIN else branch))
        if info.id.lower() != self.name.lower():
            raise PublishError(
                f"{self.name}: it was renamed to {plain(info.id)} on the Hub; publish under that name,"
                " or a new one"
            )
        return str(info.sha)

    def is_there(self, branch: str = MAIN) -> bool:
        """Whether there is a branch; whether there is the repository at all."""
        try:
            self.head(branch)
        except Exception as error:
            if not is_missing(error):
                raise
            return False
        return True

    def refs(self) -> Refs:
        """All at one moment."""
        refs = again(lambda: self._api.list_repo_refs(self.name))
        tags = {tag.name: tag.target_commit for tag in refs.tags}
        return Refs(tags, {branch.name: branch.target_commit for branch in refs.branches})

    def commits(self, revision: str = MAIN) -> "list[GitCommitInfo]":
        """It and those below it, each before its parent; their dates are the server's, and prove nothing."""
        return self._api.list_repo_commits(self.name, revision=revision)

    def resolve(self, revision: str) -> str:
        """The commit of a tag: a branch may have the same name. What is no tag stands for itself."""
        if revision == MAIN or COMMIT.fullmatch(revision):
            return revision
        return self.refs().tags.get(revision, revision)

    def files(self, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of everything; small files are downloaded, for the Hub tells no sha256."""
        listed = self._listing(revision)
        return {name: Entry(file.size, self._sha256(revision, file)) for name, file in listed.items()}

    def read(self, revision: str, name: str, limit: int) -> bytes:
        """A file that is no larger than `limit` bytes, with the hash that the Hub lists for it."""
        from huggingface_hub.hf_api import RepoFile

        found = again(lambda: self._api.get_paths_info(self.name, [name], revision=revision))
        if not found or not isinstance(found[0], RepoFile):
            raise MissingError(f"{self.name}: there is no file {name} at {revision}")
        return self._download(revision, found[0], limit)

    def blobs(self, revision: str, *names: str) -> dict[str, str]:
        """Name -> git hash, equal for equal files, of those of these files that are there."""
        from huggingface_hub.hf_api import RepoFile

        found = again(lambda: self._api.get_paths_info(self.name, list(names), revision=revision))
        return {file.path: file.blob_id for file in found if isinstance(file, RepoFile)}

    def names(self, revision: str) -> set[str]:
        """Paths of everything there."""
        return set(self._listing(revision))

    def differences(
        self, revision: str, wanted: Mapping[str, Entry], apart: Collection[str] = ()
    ) -> list[str]:
        """Names of files that are missing there, are not wanted, or are not as they should be."""
        listed = {name: file for name, file in self._listing(revision).items() if name not in apart}
        wanted = {name: entry for name, entry in wanted.items() if name not in apart}
        different = set(listed) ^ set(wanted)
        different |= {n for n in set(listed) & set(wanted) if not _may_be(listed[n], wanted[n])}
        if not different:  # only then is it worth a download
            different = {n for n, f in listed.items() if self._sha256(revision, f) != wanted[n].sha256}
        return sorted(different)

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
                f"{self.name}: {plain(file.path)} at {revision} has {file.size:,} bytes;"
                f" no more than {limit:,} are read"
            )
        data = again(lambda: self._get(revision, file.path, file.size))
        if not _is(data, file):
            raise PublishError(
                f"{self.name}: {plain(file.path)} at {revision} came with another hash than the Hub lists;"
                " try again"
            )
        return data

    def _get(self, revision: str, name: str, size: int) -> bytes:
        """The first `size` bytes of a file, and one more if there is."""
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
                response.read()  # the client tells the reason from it
            hf_raise_for_status(response)
            for part in response.iter_bytes():
                data += part
                if len(data) > size:
                    break
        return bytes(data[: size + 1])


def _may_be(file: "RepoFile", wanted: Entry) -> bool:
    """Whether a file is the wanted one by what the Hub lists of it."""
    return file.size == wanted.size and (file.lfs is None or file.lfs.sha256 == wanted.sha256)


def _is(data: bytes, file: "RepoFile") -> bool:
    from huggingface_hub.utils.sha import git_hash

    if file.lfs:
        return hashlib.sha256(data).hexdigest() == file.lfs.sha256
    return bool(git_hash(data) == file.blob_id)

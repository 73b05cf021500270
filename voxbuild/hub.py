"""Publishing to the Hugging Face Hub: one commit with everything, then the tag."""

import hashlib
from pathlib import Path

from voxrun.manifest import Entry

from .errors import PublishError, one_line
from .manifest import MANIFEST
from .publish import Destination, Release, Version, tag_is_taken


class Hub:
    """The Hub, or whatever HF_ENDPOINT names; the client finds the token (`hf auth login`, HF_TOKEN)."""

    def __init__(self) -> None:
        import huggingface_hub

        self._api = huggingface_hub.HfApi()

    def published(self, release: Release) -> bool:
        """Whether the tag is there with this manifest. Raises PublishError if it holds another."""
        from huggingface_hub.errors import HTTPError, RepositoryNotFoundError  # type: ignore[attr-defined]

        try:
            refs = self._api.list_repo_refs(release.repo)
            if release.tag not in {tag.name for tag in refs.tags}:
                return False
            remote = self._api.get_paths_info(release.repo, [MANIFEST], revision=release.tag)
        except RepositoryNotFoundError:
            return False
        except (HTTPError, OSError, ValueError) as error:  # HTTPError: the client's own, and no connection
            raise _refusal(release, error) from error
        if [getattr(entry, "blob_id", None) for entry in remote] != [_blob_id(release)]:
            raise tag_is_taken(release)
        return True

    def publish(self, release: Release, destination: Destination) -> str:
        """One commit that holds the release and removes what is not of it, then the tag."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

        if destination != Destination():
            raise PublishError(f"{release.repo}: only main can be published to")
        if self.published(release):
            return self._address(release)
        try:
            self._api.create_repo(release.repo, exist_ok=True)
            head = self._api.model_info(release.repo)
            stale = {s.rfilename for s in head.siblings or ()} - {*release.files, ".gitattributes"}
            commit = self._api.create_commit(
                release.repo,
                [
                    *(CommitOperationDelete(name) for name in sorted(stale)),
                    *(CommitOperationAdd(name, release.folder / name) for name in release.files),
                ],
                commit_message=f"Publish {release.tag}",
                parent_commit=head.sha,
            )
            self._api.create_tag(release.repo, tag=release.tag, revision=commit.oid)
        except (HTTPError, OSError, ValueError) as error:
            raise _refusal(release, error) from error
        return self._address(release)

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Size and hash of everything; what is not in LFS is downloaded for its hash."""
        from huggingface_hub.hf_api import RepoFile

        found = {}
        for item in self._api.list_repo_tree(repo, recursive=True, revision=revision):
            if isinstance(item, RepoFile) and item.path != ".gitattributes":
                sha256 = item.lfs.sha256 if item.lfs else self._sha256(repo, revision, item.path, item.size)
                found[item.path] = Entry(item.size, sha256)
        return found

    def _sha256(self, repo: str, revision: str, name: str, size: int) -> str:
        return hashlib.sha256(self.read(repo, revision, name, size)).hexdigest()

    def read(self, repo: str, revision: str, name: str, limit: int) -> bytes:
        """A file's bytes, through the client's cache."""
        path = Path(self._api.hf_hub_download(repo, name, revision=revision))
        if path.stat().st_size > limit:
            raise PublishError(f"{repo}: {name} at {revision} has more than {limit} bytes")
        return path.read_bytes()

    def history(self, repo: str) -> list[Version]:
        """All tags, in the order of their commits."""
        tags = {ref.target_commit: ref.name for ref in self._api.list_repo_refs(repo).tags}
        commits = self._api.list_repo_commits(repo)
        return [
            Version(tags[c.commit_id], c.commit_id, c.created_at.isoformat(), c is commits[0])
            for c in commits
            if c.commit_id in tags
        ]

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Not yet."""
        raise PublishError(f"{repo}: on the Hub a tag cannot be withdrawn yet")

    def _address(self, release: Release) -> str:
        return f"{self._api.endpoint}/{release.repo}/tree/{release.tag}"


def _blob_id(release: Release) -> str:
    """The manifest's git blob id: what the Hub lists for a small file."""
    from huggingface_hub.utils.sha import git_hash

    return str(git_hash((release.folder / MANIFEST).read_bytes()))


def _refusal(release: Release, error: Exception) -> PublishError:
    """The client's message of several lines in one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    hint = "; log in with `hf auth login`, or set HF_TOKEN" if status == 401 else ""
    return PublishError(f"{release.repo}: {one_line(error)}{hint}")

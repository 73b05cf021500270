"""The local registry: a folder in the Hub cache's own layout, which the genuine client reads offline."""

import os
import shutil
from pathlib import Path

from tqdm import tqdm

from voxrun.manifest import Entry

from .errors import PublishError
from .manifest import MANIFEST, file_entry
from .publish import Destination, Release, Version, tag_is_taken
from .workspace import write_text, written_whole


class LocalRegistry:
    """models--OWNER--NAME/{blobs,snapshots/COMMIT,refs/TAG}: blobs first, refs last: no reader sees half."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def published(self, release: Release) -> bool:
        """Whether the tag is there with this release. Raises PublishError if it holds another."""
        ref = self._repo(release) / "refs" / release.tag
        if not ref.is_file():
            return False
        if ref.read_text(encoding="utf-8") != _commit(release):
            raise tag_is_taken(release)
        return True

    def publish(self, release: Release, destination: Destination) -> str:
        """Store the release; return `owner/name at tag`. Raises PublishError."""
        if not self.published(release):
            repo, commit = self._repo(release), _commit(release)
            snapshot = repo / "snapshots" / commit
            for name in tqdm(release.files, desc="store", unit="file", disable=None, leave=False):
                self._link(self._store(repo, release.folder / name), snapshot / name)
            for ref in ("main", release.tag):
                write_text(repo / "refs" / ref, commit)
        return f"{release.repo} at {release.tag} in {self.folder}"

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Size and hash of everything, read anew."""
        folder = self._snapshot(repo, revision)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {str(p.relative_to(folder)): Entry(**file_entry(p)) for p in paths}

    def read(self, repo: str, revision: str, name: str, limit: int) -> bytes:
        """A file's bytes."""
        return (self._snapshot(repo, revision) / name).read_bytes()[:limit]

    def history(self, repo: str) -> list[Version]:
        """Not yet."""
        raise PublishError(f"{repo}: the local registry keeps no history yet")

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Not yet."""
        raise PublishError(f"{repo}: in the local registry a tag cannot be withdrawn yet")

    def _snapshot(self, repo: str, revision: str) -> Path:
        folder = self.folder / ("models--" + repo.replace("/", "--"))
        return folder / "snapshots" / (folder / "refs" / revision).read_text(encoding="utf-8")

    def _repo(self, release: Release) -> Path:
        return self.folder / ("models--" + release.repo.replace("/", "--"))

    def _store(self, repo: Path, path: Path) -> Path:
        """Copy a file to its blob, whole or not at all."""
        blob = repo / "blobs" / str(file_entry(path)["sha256"])
        if not blob.exists():
            blob.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(blob) as partial:
                shutil.copyfile(path, partial)
        return blob

    def _link(self, blob: Path, link: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))


def _commit(release: Release) -> str:
    """Names a snapshot by its content, in the form of a commit: 40 hexadecimal digits."""
    return str(file_entry(release.folder / MANIFEST)["sha256"])[:40]

"""The local registry: releases stored in the layout of `voxrun.trust.registry`, so that no reader sees half.

Blobs go first, then the snapshot, then the history, then the tag, then main; each is on the disk before what
points at it. Whoever is killed in between leaves nothing that a tag names, or a tag that names a whole. A
snapshot's name follows from the manifest and the signature, so that every tag keeps its own. Who writes holds
the repository's lock, which ends with the process; readers need none.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.console import progress_bar
from voxbuild.errors import MissingError, PublishError
from voxbuild.files import to_json, write_durably
from voxbuild.folders import NO_ROOM, locked
from voxbuild.publish.target import (
    Destination,
    Release,
    Version,
    tag_is_taken,
    tag_is_unsigned,
    tag_is_withdrawn,
)
from voxrun.errors import ModelError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import is_plain
from voxrun.messages import sentence
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import HISTORY, LATEST, REASON_LIMIT, WITHDRAWN, Record, Registry

from .garbage import Garbage, garbage_of, remove
from .store import PARTIAL, commit_of, store


class LocalRegistry:
    """A PublishTarget in a folder."""

    reviews = False

    def __init__(self, folder: Path) -> None:
        self.folder, self._stored = folder, Registry(folder)

    def published(self, release: Release) -> bool:
        """Whether the tag is there with this release, undamaged, and main is where it belongs.

        Its signature may be another: signing twice gives two. The tag's own stays.
        """
        with _told():
            if (commit := self._stored.commit(release.repo, release.tag)) is None:
                return False
            self._refuse_another(release, commit)
            if (reason := self._stored.withdrawn(release.repo, release.tag)) is not None:
                raise tag_is_withdrawn(release, reason)
            return self._whole(release, commit) and self._settled(release.repo)

    def publish(self, release: Release, destination: Destination) -> str:
        """Store the release; return `owner/name at tag`."""
        if not destination.is_main:
            raise PublishError("the local registry has neither branches nor pull requests")
        _check_name(release.repo)
        with _told(), self._alone(release.repo) as repo:
            if not self.published(release):
                commit = self._stored.commit(release.repo, release.tag) or commit_of(release.files)
                store(repo, release, commit)
                if commit != commit_of(release.files) and not self._whole(release, commit):
                    raise _signature_is_damaged(release)
                self._name(release.repo, release.tag, commit)
        return f"{release.repo} at {release.tag} in {self.folder}"

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Size and hash of everything, read anew; `.gitattributes` left out."""
        folder = self._snapshot(repo, revision)
        found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        found.pop(".gitattributes", None)
        with progress_bar("check " + repo, sum(p.stat().st_size for p in found.values()), "B") as bar:
            return {
                name: Entry(path.stat().st_size, sha256_of(path, bar.update)) for name, path in found.items()
            }

    def read(self, repo: str, revision: str, name: str, limit: int) -> bytes:
        """A file's bytes."""
        if not is_plain(name):
            raise PublishError(f"{name!r} is no name of an artifact's file")
        try:
            with (self._snapshot(repo, revision) / name).open("rb") as file:
                content = file.read(limit + 1)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MissingError(f"{repo} at {revision}: {name} is not there") from error
        if len(content) > limit:
            raise PublishError(f"{repo} at {revision}: {name} has more than {limit} bytes")
        return content

    def history(self, repo: str) -> list[Version]:
        """All tags; the order is that in which they were published."""
        with _told():
            if not (records := self._stored.history(repo)):
                raise MissingError(f"{repo} is not in the registry {self.folder}")
            latest, why = self._stored.commit(repo, LATEST), self._stored.withdrawals(repo, records)
        versions = [Version(r.tag, r.commit, r.date, False, why.get(r.tag)) for r in reversed(records)]
        newest = next((v for v in versions if v.withdrawn is None and v.commit == latest), None)
        return [replace(version, latest=version is newest) for version in versions]

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag; main goes back, or away if no tag is left that was not withdrawn."""
        with _told(), self._alone(repo) as folder:
            if tag not in self._stored.tags(repo):
                known = ", ".join(self._stored.tags(repo)) or "none"
                raise MissingError(
                    f"{repo} has no tag {tag} in the registry {self.folder}; its tags: {known}"
                )
            records = self._stored.history(repo)
            marked = [
                replace(r, reason=sentence(reason, REASON_LIMIT)) if r.tag == tag else r for r in records
            ]
            _write_history(folder, marked)
            write_durably(folder / "refs" / (WITHDRAWN + tag), next(r.commit for r in marked if r.tag == tag))
            latest = self._settle(repo)
        return f"{repo}: {tag} is withdrawn; latest is {latest or 'none: no other tag is left'}"

    def repos(self) -> list[str]:
        """All repositories that have a tag."""
        with _told():
            return self._stored.repos()

    def collect(self, dry_run: bool) -> tuple[list[Garbage], list[str]]:
        """Remove what no ref needs, unless it is a `dry_run`; return what that is, and what is damaged.

        A publisher that is at work is waited for: what it stores is no garbage. Of a damaged repository
        nothing is removed.
        """
        found, damaged = [], []
        for path in sorted(self.folder.glob("models--*--*")):
            with self._locked(path):
                try:
                    useless = garbage_of(path)
                except ModelError as error:
                    damaged.append(str(error))
                    continue
                if not dry_run:
                    remove(useless, path / PARTIAL)
                found += useless
        return found, damaged

    def _snapshot(self, repo: str, revision: str) -> Path:
        with _told():
            if (commit := self._stored.commit(repo, revision)) is None:
                raise MissingError(f"{repo} at {revision} is not in the registry {self.folder}")
            return self._stored.snapshot(repo, commit)

    def _refuse_another(self, release: Release, commit: str) -> None:
        """Raise PublishError if the tag's commit is of another artifact, or lacks the release's signature."""
        manifest = release.files[MANIFEST]
        if commit == commit_of(release.files):
            return
        if commit == commit_of({MANIFEST: manifest}):
            raise tag_is_unsigned(release)
        link = self._stored.path(release.repo) / "snapshots" / commit / MANIFEST
        if not link.is_symlink() or link.readlink().name != manifest.sha256:
            raise tag_is_taken(release)

    def _whole(self, release: Release, commit: str) -> bool:
        """Whether a commit's files are the release's, its signature apart, which its name tells."""
        try:
            there = self.files(release.repo, commit)
        except PublishError:  # the snapshot is gone, or leads elsewhere
            return False
        unsigned = [{n: e for n, e in files.items() if n != SIGNATURE} for files in (there, release.files)]
        return unsigned[0] == unsigned[1] and commit_of(there) == commit

    def _name(self, repo: str, tag: str, commit: str) -> None:
        """Let a tag stand for a commit that is there, and main too."""
        folder, records = self._stored.path(repo), self._stored.history(repo)
        if tag not in {record.tag for record in records}:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            _write_history(folder, [*records, Record(tag, commit, now)])
        write_durably(folder / "refs" / tag, commit)
        self._settle(repo)

    def _newest(self, repo: str) -> Record | None:
        """The last tag that was not withdrawn: what main stands for."""
        records = self._stored.history(repo)
        withdrawn = self._stored.withdrawals(repo, records)
        return next((record for record in reversed(records) if record.tag not in withdrawn), None)

    def _settled(self, repo: str) -> bool:
        newest = self._newest(repo)
        return self._stored.commit(repo, LATEST) == (newest.commit if newest else None)

    def _settle(self, repo: str) -> str | None:
        """Put main where it belongs; return the tag it stands for."""
        main, newest = self._stored.path(repo) / "refs" / LATEST, self._newest(repo)
        if newest:
            write_durably(main, newest.commit)
            return newest.tag
        main.unlink(missing_ok=True)
        return None

    @contextmanager
    def _alone(self, repo: str) -> Iterator[Path]:
        """A repository's folder, which nobody else changes meanwhile. A full disk is told in a sentence."""
        path = self._stored.path(repo)
        try:
            with self._locked(path):
                yield path
        except OSError as error:
            if error.errno in NO_ROOM:
                raise PublishError(
                    f"{self.folder}: the disk is full; no tag is there by half; make room and run it again"
                ) from error
            raise

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Hold the repository's lock; wait for the process that holds it."""

        def taken() -> None:
            print(f"{path.name}: another process changes it; waiting for its end", file=sys.stderr)

        with locked(self.folder / ".locks" / f"{path.name}.lock", taken):
            yield


def _signature_is_damaged(release: Release) -> PublishError:
    return PublishError(
        f"{release.repo}: the signature under the tag {release.tag} is damaged, and another cannot take its"
        " place; published tags never change: publish it under another tag"
    )


def _check_name(repo: str) -> None:
    """The Hub's client, which is to read it, is choosy about names."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise PublishError(f"publish.repo: {error}") from error


def _write_history(folder: Path, records: Iterable[Record]) -> None:
    write_durably(folder / HISTORY, to_json([asdict(record) for record in records]))


@contextmanager
def _told() -> Iterator[None]:
    """What voxrun says about a registry that is none is why nothing can be published."""
    try:
        yield
    except ModelError as error:
        raise PublishError(str(error)) from error

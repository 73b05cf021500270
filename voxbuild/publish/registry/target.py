"""The local registry: releases stored in the layout of `voxrun.trust.registry`.

Blobs, the snapshot, the history, the tag and main are written in this order, each durable before the next
refers to it, so a tag always names a whole release, even after a kill. A snapshot's name follows from the
manifest and the signature. Writers lock the repository until the process ends; readers need no lock.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.console import progress_bar
from voxbuild.errors import MissingError, PublishError
from voxbuild.files import to_json, write_durably
from voxbuild.folders import NO_ROOM, locked
from voxbuild.publish.target import (
    TAKEN,
    UNSIGNED,
    Destination,
    Release,
    Say,
    Version,
    silent,
    tag_conflict,
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
    shared = False

    def __init__(self, folder: Path) -> None:
        self.folder, self._stored = folder, Registry(folder)

    def published(self, release: Release) -> bool:
        """Whether the tag holds this release, undamaged, and main is up to date; the signature may differ."""
        with _publish_errors():
            if (commit := self._stored.commit(release.repo, release.tag)) is None:
                return False
            self._refuse_another(release, commit)
            if (reason := self._stored.withdrawn(release.repo, release.tag)) is not None:
                raise tag_conflict(release, f"was withdrawn ({reason})")
            newest = self._newest(release.repo)
            up_to_date = self._stored.commit(release.repo, LATEST) == (newest.commit if newest else None)
            return self._whole(release, commit) and up_to_date

    def check(self, release: Release, destination: Destination) -> list[str]:
        """Nothing is to be known: all that is there is voxbuild's. Raises PublishError."""
        if not destination.is_main:
            raise PublishError("the local registry has no branches or pull requests")
        _check_name(release.repo)
        return []

    def publish(self, release: Release, destination: Destination, say: Say = silent) -> str:
        """Store the release; return `owner/name at tag`."""
        for line in self.check(release, destination):
            say(line)
        with _publish_errors(), self._writing(release.repo) as repo:
            if not self.published(release):
                commit = self._stored.commit(release.repo, release.tag) or commit_of(release.files)
                store(repo, release, commit)
                if commit != commit_of(release.files) and not self._whole(release, commit):
                    raise tag_conflict(release, "has a damaged signature, which cannot be replaced")
                self._tag(release.repo, release.tag, commit)
        return f"{release.repo} at {release.tag} in {self.folder}"

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of all files, read again; without `.gitattributes`."""
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
            raise PublishError(f"{name!r} is not the name of an artifact's file")
        try:
            with (self._snapshot(repo, revision) / name).open("rb") as file:
                content = file.read(limit + 1)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MissingError(f"{repo} at {revision}: there is no {name}") from error
        if len(content) > limit:
            raise PublishError(f"{repo} at {revision}: {name} has more than {limit} bytes")
        return content

    def history(self, repo: str) -> list[Version]:
        """All tags, the last published first."""
        with _publish_errors():
            if not (records := self._stored.history(repo)):
                raise MissingError(f"{repo} is not in the registry {self.folder}")
            latest, why = self._stored.commit(repo, LATEST), self._stored.withdrawals(repo, records)
        versions = [Version(r.tag, r.commit, r.date, False, why.get(r.tag)) for r in reversed(records)]
        newest = next((v for v in versions if v.withdrawn is None and v.commit == latest), None)
        return [replace(version, latest=version is newest) for version in versions]

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn; main goes back to the newest tag that is not, or is removed."""
        with _publish_errors(), self._writing(repo) as folder:
            records = {record.tag: record for record in self._stored.history(repo)}
            if tag not in records:
                known = ", ".join(self._stored.tags(repo)) or "none"
                raise MissingError(
                    f"{repo} has no tag {tag} in the registry {self.folder}; its tags: {known}"
                )
            records[tag] = replace(records[tag], reason=sentence(reason, REASON_LIMIT))
            _write_history(folder, records.values())
            write_durably(folder / "refs" / (WITHDRAWN + tag), records[tag].commit)
            latest = self._update_main(repo)
        return f"{repo}: {tag} is withdrawn; latest: {latest or 'none'}"

    def repos(self) -> list[str]:
        """All repositories that have a tag."""
        with _publish_errors():
            return self._stored.repos()

    def collect(self, dry_run: bool) -> tuple[list[Garbage], list[str]]:
        """Find what no ref needs and, unless `dry_run`, remove it; return it and the errors.

        Waits for a running publish, whose files are no garbage. Removes nothing from a damaged repository.
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
        with _publish_errors():
            if (commit := self._stored.commit(repo, revision)) is None:
                raise MissingError(f"{repo} at {revision} is not in the registry {self.folder}")
            return self._stored.snapshot(repo, commit)

    def _refuse_another(self, release: Release, commit: str) -> None:
        """Raise PublishError if the tag's commit holds another artifact, or lacks the release's signature."""
        manifest = release.files[MANIFEST]
        if commit == commit_of(release.files):
            return
        if commit == commit_of({MANIFEST: manifest}):
            raise tag_conflict(release, UNSIGNED)
        link = self._stored.path(release.repo) / "snapshots" / commit / MANIFEST
        if not link.is_symlink() or link.readlink().name != manifest.sha256:
            raise tag_conflict(release, TAKEN)

    def _whole(self, release: Release, commit: str) -> bool:
        """Whether a commit holds the release's files, and the signature that its name follows from."""
        try:
            there = self.files(release.repo, commit)
        except PublishError:  # the snapshot is gone, or leads elsewhere
            return False
        unsigned = [{n: e for n, e in files.items() if n != SIGNATURE} for files in (there, release.files)]
        return unsigned[0] == unsigned[1] and commit_of(there) == commit

    def _tag(self, repo: str, tag: str, commit: str) -> None:
        """Write the history and the tag of a stored commit, and update main."""
        folder, records = self._stored.path(repo), self._stored.history(repo)
        if tag not in {record.tag for record in records}:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            _write_history(folder, [*records, Record(tag, commit, now)])
        write_durably(folder / "refs" / tag, commit)
        self._update_main(repo)

    def _newest(self, repo: str) -> Record | None:
        """The last tag that is not withdrawn, which main should name."""
        records = self._stored.history(repo)
        withdrawn = self._stored.withdrawals(repo, records)
        return next((record for record in reversed(records) if record.tag not in withdrawn), None)

    def _update_main(self, repo: str) -> str | None:
        """Let main name the commit of the newest tag; return that tag."""
        main, newest = self._stored.path(repo) / "refs" / LATEST, self._newest(repo)
        if newest:
            write_durably(main, newest.commit)
            return newest.tag
        main.unlink(missing_ok=True)
        return None

    @contextmanager
    def _writing(self, repo: str) -> Iterator[Path]:
        """A repository's folder, locked. Raises PublishError if the disk is full."""
        path = self._stored.path(repo)
        try:
            with self._locked(path):
                yield path
        except OSError as error:
            if error.errno in NO_ROOM:
                raise PublishError(
                    f"{self.folder}: the disk is full; no tag is incomplete; free some space and run it again"
                ) from error
            raise

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Hold the repository's lock; wait for another process that holds it."""

        def taken() -> None:
            print(f"{path.name}: waiting for another process that is changing it", file=sys.stderr)

        with locked(self.folder / ".locks" / f"{path.name}.lock", taken):
            yield


def _check_name(repo: str) -> None:
    """Raise PublishError for a name that the Hub's client does not accept, as it must read the registry."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise PublishError(f"publish.repo: {error}") from error


def _write_history(folder: Path, records: Iterable[Record]) -> None:
    write_durably(folder / HISTORY, to_json([asdict(record) for record in records]))


@contextmanager
def _publish_errors() -> Iterator[None]:
    """Turn voxrun's errors about an invalid registry into PublishError."""
    try:
        yield
    except ModelError as error:
        raise PublishError(str(error)) from error

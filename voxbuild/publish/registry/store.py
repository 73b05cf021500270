"""Storing a release's files in a repository of the local registry: blobs, then a snapshot of links."""

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE, file_entry
from voxbuild.console import progress_bar
from voxbuild.errors import PublishError
from voxbuild.files import copy_and_hash, sync_folder
from voxbuild.publish.target import Release
from voxrun.trust.manifest import Entry

PARTIAL = ".partial"
"""The folder in a repository for what is being stored."""


def commit_of(files: Mapping[str, Entry]) -> str:
    """The name of a snapshot, like a commit: 40 hexadecimal digits, from the manifest and the signature."""
    manifest, signature = files[MANIFEST].sha256, files.get(SIGNATURE)
    if signature is None:
        return manifest[:40]
    return hashlib.sha256((manifest + signature.sha256).encode()).hexdigest()[:40]


def store(repo: Path, release: Release, commit: str) -> None:
    """Store a release's blobs and snapshot durably; a commit with another signature keeps that."""
    files, kept = dict(release.files), {*release.files}
    if commit != commit_of(files):
        files.pop(SIGNATURE, None)
        kept.add(SIGNATURE)
    partial = repo / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process
    snapshot = repo / "snapshots" / commit
    for folder in (partial, repo / "blobs", snapshot.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar("store", sum(e.size for e in files.values()), "B") as bar:
            for name, entry in files.items():
                _store_blob(release.folder / name, repo / "blobs" / entry.sha256, entry, partial, bar)
        sync_folder(repo / "blobs")
        if snapshot.is_symlink():  # never written by voxbuild
            snapshot.unlink()
        if snapshot.is_dir():  # it is damaged
            _link_all(snapshot, files, kept, repo)
        else:
            _link_all(partial / "snapshot", files, kept, repo)
            (partial / "snapshot").rename(snapshot)
        sync_folder(snapshot.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _store_blob(path: Path, blob: Path, entry: Entry, partial: Path, bar: Any) -> None:
    """Copy a file to its blob, unless the blob is intact."""
    if blob.is_file() and not blob.is_symlink() and file_entry(blob) == entry:
        bar.update(entry.size)
        return
    copy = partial / entry.sha256
    if copy_and_hash(path, copy, bar.update) != entry.sha256:
        raise PublishError(f"{path}: changed while it was being published; build it again")
    copy.replace(blob)


def _link_all(folder: Path, files: Mapping[str, Entry], kept: Collection[str], repo: Path) -> None:
    """Link every file to its blob, and remove all other files but those in `kept`."""
    folder.mkdir(exist_ok=True)
    for path in [p for p in folder.rglob("*") if p.is_symlink() or p.is_file()]:
        if str(path.relative_to(folder)) not in kept:
            path.unlink()
    for name, entry in files.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        new = repo / PARTIAL / "link"
        new.symlink_to(
            os.path.relpath(repo / "blobs" / entry.sha256, (repo / "snapshots" / "COMMIT" / name).parent)
        )
        new.replace(link)
    for inside in {folder, *((folder / name).parent for name in files)}:
        sync_folder(inside)

"""A release's files on their way into a repository of the local registry: blobs, then a snapshot of links."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voxrun.manifest import Entry

from .durable import copy_and_hash, sync_folder
from .errors import PublishError
from .manifest import MANIFEST, SIGNATURE, file_entry
from .progress import progress_bar
from .publish import Release

PARTIAL = ".partial"
"""Below a repository: what is being stored."""


def commit_of(release: Release) -> str:
    """Names a snapshot by its content, in the form of a commit: 40 hexadecimal digits."""
    return release.files[MANIFEST].sha256[:40]


def store(repo: Path, release: Release) -> None:
    """Have a release's blobs and its snapshot, whole and on the disk."""
    partial = repo / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)  # of one who was killed
    snapshot = repo / "snapshots" / commit_of(release)
    for folder in (partial, repo / "blobs", snapshot.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar("store", sum(e.size for e in release.files.values()), "B") as bar:
            for name, entry in release.files.items():
                _store_blob(release.folder / name, repo / "blobs" / entry.sha256, entry, partial, bar)
        sync_folder(repo / "blobs")
        if snapshot.is_symlink():  # whatever it leads to is not ours
            snapshot.unlink()
        if snapshot.is_dir():  # a blob was damaged, or the signature is new
            _link_all(snapshot, release.files, repo)
        else:
            _link_all(partial / "snapshot", release.files, repo)
            (partial / "snapshot").rename(snapshot)
        sync_folder(snapshot.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _store_blob(path: Path, blob: Path, entry: Entry, partial: Path, bar: Any) -> None:
    """Copy a file to its blob, unless that is there and undamaged."""
    if blob.is_file() and not blob.is_symlink() and file_entry(blob) == asdict(entry):
        bar.update(entry.size)
        return
    copy = partial / entry.sha256
    if copy_and_hash(path, copy, bar.update) != entry.sha256:
        raise PublishError(f"{path}: changed while it was published; build it again")
    copy.replace(blob)


def _link_all(folder: Path, files: Mapping[str, Entry], repo: Path) -> None:
    """Have a link to its blob for every file, and nothing else but a signature that was there before."""
    folder.mkdir(exist_ok=True)
    for path in [p for p in folder.rglob("*") if p.is_symlink() or p.is_file()]:
        if str(path.relative_to(folder)) not in {*files, SIGNATURE}:
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

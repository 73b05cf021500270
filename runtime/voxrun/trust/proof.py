"""Verify that a folder matches its manifest, provenance and signature, before anything is loaded."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from voxrun.checkpoint.layout import Layout
from voxrun.errors import TrustError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import TOOLS, StrictError, is_file, member, read_bytes
from voxrun.messages import sentence, shown

from .foreign import would_be_read
from .manifest import MANIFEST, SIGNATURE, Entry, digest_of, read_manifest
from .provenance import PROVENANCE, check_provenance
from .signature import check_signed, claimed_files, signed_files

LONG = 200 * 2**20
"""Bytes from which the progress of hashing is shown."""
AGAIN = "do not use it; fetch or build it again"


@dataclass(frozen=True)
class Proof:
    """A folder whose files match its manifest and, with a key, are signed."""

    folder: Path
    digest: str
    """The sha256 of the manifest, which identifies the artifact."""
    files: int
    signed: bool
    key: Path | None = None
    """The public key that the signature was checked with."""
    others: tuple[str, ...] = ()
    """Files of a shared repository that are not in the manifest, and that nothing reads."""

    def __str__(self) -> str:
        """The result of the check, for the log."""
        beside = f"; not in it, and not used: {sentence(', '.join(self.others))}" if self.others else ""
        return (
            f"{self.folder}: {self.files} files match the manifest {self.digest}; {self._signed_by}{beside}"
        )

    @property
    def _signed_by(self) -> str:
        if self.key:
            return f"signed with the private key of {self.key}"
        if self.signed:
            return "signed; the key was not checked: give --verify=KEY"
        return "not signed"


def check(folder: Path, key: Path | None = None, shared: bool = False) -> Proof:
    """Hash a folder's files as a stream, and compare them with manifest, provenance and signature.

    Exactly the files in the manifest must be there, apart from TOOLS and the signature; all files that
    `Transcriber.load` opens must be among them. With `shared` the folder is a snapshot of a repository in
    which others may keep files, too, unless a program would read them as a part of the model. With `key`, a
    public key in PEM, they must be signed with its private key. The folder must not change during the check,
    or afterwards. Raises TrustError; ModelError or ConfigError without a readable manifest; WeightsError or
    ConfigError if the weights' files are unclear.
    """
    places = _Places(folder)
    if not places.has(MANIFEST):
        raise TrustError(f"{folder}: no {MANIFEST}, so its files cannot be verified")
    for name in (MANIFEST, *([SIGNATURE] if places.has(SIGNATURE) else [])):
        places.small(name)
    entries, digest = read_manifest(folder), digest_of(folder)
    others = places.check(entries, shared)
    _check_signature(places, entries, digest, key)  # first: hashing takes much longer
    _check_hashes(places, entries)
    _check_provenance(places, entries)
    for name in sorted(Layout(folder).loaded_names - entries.keys()):
        raise TrustError(f"{folder}: {shown(name)} would be loaded, and is not in the manifest; {AGAIN}")
    return Proof(folder, digest, len(entries), places.has(SIGNATURE), key, others)


class _Places:
    """The files of a folder; in the Hub's cache they are links to blobs beside the snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str) -> bool:
        return os.path.lexists(self.folder / name)

    def real(self, name: str) -> Path:
        """The path of a file. Raises TrustError if it is missing, not a file, or outside the folder."""
        path = self.folder / name
        try:
            member(self.folder, name)
        except StrictError as error:
            raise TrustError(f"{path}: {error}; {AGAIN}") from error
        if not path.exists():
            raise TrustError(f"{path}: missing, though the manifest lists it; {AGAIN}")
        if not is_file(path):
            raise TrustError(f"{path}: no file; {AGAIN}")
        return path

    def small(self, name: str) -> bytes:
        """The content of a small file. Raises TrustError."""
        try:
            return read_bytes(self.real(name))
        except StrictError as error:
            raise TrustError(f"{self.folder / name}: {error}; {AGAIN}") from error

    def check(self, entries: Mapping[str, Entry], shared: bool) -> tuple[str, ...]:
        """Raises TrustError unless these files are there, with these sizes; returns the other ones.

        Raises TrustError for others, too, unless the folder is `shared` and they would not be read.
        """
        others = sorted(set(found(self.folder)) - {*entries, MANIFEST, SIGNATURE})
        for name in would_be_read(others) if shared else others:
            raise TrustError(f"{self.folder / name}: not in the manifest; remove it, or do not use the model")
        for name, entry in entries.items():
            if (size := self.real(name).stat().st_size) != entry.size:
                raise TrustError(f"{self.folder / name}: {size:,} bytes instead of {entry.size:,}; {AGAIN}")
        return tuple(others)


def found(folder: Path) -> Iterator[str]:
    """Paths of all files and links below a folder, except TOOLS."""
    for base, folders, files in os.walk(folder):
        inside = Path(base).relative_to(folder)
        names = [name for name in (*folders, *files) if str(inside / name) not in TOOLS]
        links = {name for name in folders if (Path(base) / name).is_symlink()}
        yield from (str(inside / name) for name in names if name in files or name in links)
        folders[:] = [name for name in folders if name in names and name not in links]


def _check_signature(places: _Places, entries: Mapping[str, Entry], digest: str, key: Path | None) -> None:
    if not places.has(SIGNATURE):
        if key:
            raise TrustError(f"{places.folder}: not signed, so it cannot be verified with {key}")
        return
    signature = places.small(SIGNATURE)
    signed = signed_files(signature, key) if key else claimed_files(signature)
    _refuse(places, check_signed(signed, entries, digest))


def _check_hashes(places: _Places, entries: Mapping[str, Entry]) -> None:
    total = sum(entry.size for entry in entries.values())
    quiet = None if total >= LONG else True  # None: unless stderr is a terminal
    with tqdm(total=total, desc="verify", unit="B", unit_scale=True, disable=quiet, leave=False) as bar:
        for name, entry in entries.items():
            if (found := sha256_of(places.real(name), bar.update)) != entry.sha256:
                raise TrustError(
                    f"{places.folder / name}: sha256 {found} instead of {entry.sha256}: damaged or changed;"
                    f" {AGAIN}"
                )


def _check_provenance(places: _Places, entries: Mapping[str, Entry]) -> None:
    if PROVENANCE not in entries:
        raise TrustError(f"{places.folder}: no {PROVENANCE}, so its origin is unknown; {AGAIN}")
    _refuse(places, check_provenance(places.small(PROVENANCE), entries))


def _refuse(places: _Places, problems: list[str]) -> None:
    if problems:
        raise TrustError(f"{places.folder}: {'; '.join(problems)}; {AGAIN}")

"""Is a folder what its manifest, provenance and signature say? Proven before anything of it is loaded."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from voxrun.checkpoint.layout import Layout
from voxrun.errors import TrustError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import TOOLS, StrictError, is_file, member, read_bytes
from voxrun.messages import shown

from .manifest import MANIFEST, SIGNATURE, Entry, digest_of, read_manifest
from .provenance import PROVENANCE, check_provenance
from .signature import check_signed, claimed_files, signed_files

LONG = 200 * 2**20
"""Bytes from which on the progress of hashing is shown."""
AGAIN = "do not use it; fetch or build it again"


@dataclass(frozen=True)
class Proof:
    """What was proven of a folder: its files are the manifest's, and perhaps whose they are."""

    folder: Path
    digest: str
    """sha256 of the manifest: what the artifact is."""
    files: int
    signed: bool
    key: Path | None = None
    """The public key that the signature was checked with."""

    def __str__(self) -> str:
        """The same in one line."""
        return f"{self.folder}: {self.files} files are those of the manifest {self.digest}; {self._who}"

    @property
    def _who(self) -> str:
        if self.key:
            return f"signed with the private key of {self.key}"
        if self.signed:
            return "signed; whose signature it is was not checked: give --verify=KEY"
        return "not signed"


def check(folder: Path, key: Path | None = None) -> Proof:
    """Hash a folder's files, in a stream, and hold them against manifest, provenance and signature.

    The very files that the manifest lists must be there, TOOLS and the signature apart. With `key`, a public
    key as PEM, they must be signed with its other half. The folder must not change meanwhile, or afterwards.
    All that `Transcriber.load` looks at is among them. Raises TrustError; ModelError or ConfigError if there
    is no readable manifest; WeightsError or ConfigError if it cannot be told what would be loaded.
    """
    places = _Places(folder)
    if not places.has(MANIFEST):
        raise TrustError(f"{folder}: no {MANIFEST}, so that nothing says which files belong to it")
    for name in (MANIFEST, *([SIGNATURE] if places.has(SIGNATURE) else [])):
        places.small(name)
    entries, digest = read_manifest(folder), digest_of(folder)
    places.check(entries)
    _check_signature(places, entries, digest, key)  # before hours of hashing, for what is refused anyway
    _check_hashes(places, entries)
    _check_provenance(places, entries)
    for name in sorted(Layout(folder).loaded_names - entries.keys()):
        raise TrustError(f"{folder}: {shown(name)} would be loaded, and is not in the manifest; {AGAIN}")
    return Proof(folder, digest, len(entries), places.has(SIGNATURE), key)


class _Places:
    """Where a folder's files really are; those of the Hub's cache are links to blobs beside the snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str) -> bool:
        return os.path.lexists(self.folder / name)

    def real(self, name: str) -> Path:
        """The file itself. Raises TrustError if it is missing, no file, or outside."""
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
        """The content of a file that is read whole. Raises TrustError."""
        try:
            return read_bytes(self.real(name))
        except StrictError as error:
            raise TrustError(f"{self.folder / name}: {error}; {AGAIN}") from error

    def check(self, entries: Mapping[str, Entry]) -> None:
        """Raises TrustError unless all these files are there, of their sizes, and no others."""
        for name in sorted(set(found(self.folder)) - {*entries, MANIFEST, SIGNATURE}):
            raise TrustError(f"{self.folder / name}: not in the manifest; remove it, or do not use the model")
        for name, entry in entries.items():
            if (size := self.real(name).stat().st_size) != entry.size:
                raise TrustError(f"{self.folder / name}: {size:,} bytes instead of {entry.size:,}; {AGAIN}")


def found(folder: Path) -> Iterator[str]:
    """Every file, and every link, below a folder, but for TOOLS."""
    for base, folders, files in os.walk(folder):
        inside = Path(base).relative_to(folder)
        names = [name for name in (*folders, *files) if str(inside / name) not in TOOLS]
        links = {name for name in folders if (Path(base) / name).is_symlink()}
        yield from (str(inside / name) for name in names if name in files or name in links)
        folders[:] = [name for name in folders if name in names and name not in links]


def _check_signature(places: _Places, entries: Mapping[str, Entry], digest: str, key: Path | None) -> None:
    if not places.has(SIGNATURE):
        if key:
            raise TrustError(f"{places.folder}: not signed, so nothing says that it is by the owner of {key}")
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
        raise TrustError(f"{places.folder}: no {PROVENANCE}, so nothing says what it was made from; {AGAIN}")
    _refuse(places, check_provenance(places.small(PROVENANCE), entries))


def _refuse(places: _Places, problems: list[str]) -> None:
    if problems:
        raise TrustError(f"{places.folder}: {'; '.join(problems)}; {AGAIN}")

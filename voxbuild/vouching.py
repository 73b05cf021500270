"""What a published artifact can prove beyond its hashes, wherever its files are: provenance, signature."""

from collections.abc import Callable, Mapping
from pathlib import Path

from voxrun.manifest import Entry
from voxrun.objects import read_object
from voxrun.provenance import check_provenance
from voxrun.signature import check_signed, claimed_files, signed_files

from .errors import PublishError
from .lock import LOCK
from .manifest import MANIFEST, PROVENANCE, SIGNATURE, Manifest
from .provenance import contradictions

Read = Callable[[str], bytes]
"""A small file of the artifact, by name."""


def vouched(entries: Mapping[str, Entry], read: Read, key: Path | None) -> list[str]:
    """What holds of an artifact whose files are known to be `entries`, manifest and signature included.

    A line each. `key` is the public key that it must be signed for; None: whoever signed.
    Raises PublishError, TrustError if something is wrong.
    """
    listed = {name: entry for name, entry in entries.items() if name not in (MANIFEST, SIGNATURE)}
    return [_provenance(listed, read), _signature(listed, entries, read, key)]


def provenance_faults(listed: Mapping[str, Entry], read: Read) -> list[str]:
    """Why an artifact's provenance is not that of these files, or its manifest tells something else.

    Raises VoxbuildError, VoxrunError if one of them cannot be read.
    """
    if PROVENANCE not in listed:
        return [f"{PROVENANCE} is missing: nothing says what it was made from"]
    statement = read(PROVENANCE)
    if wrong := check_provenance(statement, listed):
        return wrong
    manifest = Manifest.of(read(MANIFEST), MANIFEST)
    wrong = contradictions(manifest, read_object(statement, PROVENANCE))
    if LOCK in listed and not manifest.view:
        lock = read_object(read(LOCK), LOCK)
        said = {"source": manifest.source, "tools": manifest.tools}
        wrong += [f"{MANIFEST} and {LOCK} tell of different {k}" for k in said if lock.get(k) != said[k]]
    return wrong


def _provenance(listed: Mapping[str, Entry], read: Read) -> str:
    if wrong := provenance_faults(listed, read):
        raise PublishError("; ".join(wrong))
    return f"{PROVENANCE} tells what these very files were made from"


def _signature(
    listed: Mapping[str, Entry], entries: Mapping[str, Entry], read: Read, key: Path | None
) -> str:
    if SIGNATURE not in entries:
        if key:
            raise PublishError(f"not signed, though it should be, with the private key of {key}")
        return "not signed"
    signed = signed_files(read(SIGNATURE), key) if key else claimed_files(read(SIGNATURE))
    if wrong := check_signed(signed, listed, entries[MANIFEST].sha256):
        raise PublishError(f"{SIGNATURE}: {'; '.join(wrong)}")
    if key:
        return f"signed with the private key of {key}"
    return "signed; whose signature it is was not checked: say key=PUBLIC.pem"

"""What an artifact can prove beyond its hashes, wherever its files are: validation, provenance, signature."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from voxbuild.errors import PublishError
from voxbuild.files import STATE_BYTES
from voxrun.files.objects import read_object
from voxrun.trust.manifest import Entry
from voxrun.trust.provenance import check_provenance
from voxrun.trust.signature import check_signed, claimed_files, signed_files

from .lock import LOCK
from .manifest import DESCRIPTIVE, MANIFEST, PROVENANCE, SIGNATURE, VALIDATION, Manifest, plain
from .provenance import contradictions

Files = Mapping[str, Entry]
"""Those of an artifact, known to be right, manifest and signature included."""
Read = Callable[[str], bytes]
"""A small file of the artifact, by name."""


def proofs(files: Files, read: Read, key: Path | None) -> list[str]:
    """What an artifact can prove; a line each.

    `key` is the public key that it must be signed for; None: whoever signed. Raises PublishError or
    VoxrunError if something is wrong, as each of the three does.
    """
    return [validated(files, read), made(files, read), signed(files, read, key)]


def validated(files: Files, read: Read) -> str:
    """What it was validated with is what is there."""
    if VALIDATION not in files:
        raise PublishError(f"{VALIDATION} is missing: nothing says that it was validated")
    report = read_object(_proven(files, read, VALIDATION), VALIDATION, STATE_BYTES)
    weights = plain({n: e for n, e in files.items() if n not in (*DESCRIPTIVE, MANIFEST, SIGNATURE)})
    if report.get("passed") is not True or report.get("artifact") != weights:
        raise PublishError(f"{VALIDATION} is not a passed one of these very files")
    return "validated as these very files"


def provenance_faults(listed: Files, read: Read) -> list[str]:
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


def made(files: Files, read: Read) -> str:
    """Its provenance is of these files, and its manifest tells nothing else."""
    if wrong := provenance_faults(_listed(files), lambda name: _proven(files, read, name)):
        raise PublishError("; ".join(wrong))
    return f"{PROVENANCE} tells what these very files were made from"


def signed(files: Files, read: Read, key: Path | None) -> str:
    """It is signed as these files, if it is, and by whom it should be."""
    if SIGNATURE not in files:
        if key:
            raise PublishError(f"not signed, though it should be, with the private key of {key}")
        return "not signed"
    signature = _proven(files, read, SIGNATURE)
    claimed = signed_files(signature, key) if key else claimed_files(signature)
    if wrong := check_signed(claimed, _listed(files), files[MANIFEST].sha256):
        raise PublishError(f"{SIGNATURE}: {'; '.join(wrong)}")
    if key:
        return f"signed with the private key of {key}"
    return "signed; whose signature it is was not checked: say key=PUBLIC.pem"


def _listed(files: Files) -> Files:
    """Those that the manifest lists."""
    return {name: entry for name, entry in files.items() if name not in (MANIFEST, SIGNATURE)}


def _proven(files: Files, read: Read, name: str) -> bytes:
    content = read(name)
    if hashlib.sha256(content).hexdigest() != files[name].sha256:
        raise PublishError(f"{name} is another file each time it is read")
    return content

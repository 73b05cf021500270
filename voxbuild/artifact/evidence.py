"""Checking an artifact's validation, provenance and signature, in a folder or on a publish target."""

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
"""The artifact's files with verified hashes, manifest and signature included."""
Read = Callable[[str], bytes]
"""Reads a small file of the artifact, by name."""


def proofs(files: Files, read: Read, key: Path | None) -> list[str]:
    """What the validation, the provenance and the signature prove, a line each.

    `key` is the public key that the artifact must be signed for; None: any or none. Raises PublishError or
    VoxrunError if one of the three is wrong.
    """
    return [prove_validation(files, read), prove_provenance(files, read), prove_signature(files, read, key)]


def prove_validation(files: Files, read: Read) -> str:
    """The validation passed, with these weights."""
    if VALIDATION not in files:
        raise PublishError(f"{VALIDATION} is missing, so the validation is not proven")
    report = read_object(_verified(files, read, VALIDATION), VALIDATION, STATE_BYTES)
    weights = plain({n: e for n, e in files.items() if n not in (*DESCRIPTIVE, MANIFEST, SIGNATURE)})
    if report.get("passed") is not True or report.get("artifact") != weights:
        raise PublishError(f"{VALIDATION} does not say that these files passed")
    return "validated with exactly these files"


def provenance_faults(listed: Files, read: Read) -> list[str]:
    """How an artifact's provenance contradicts these files, the manifest or the lock, a phrase each.

    Raises VoxbuildError, VoxrunError if one of them cannot be read.
    """
    if PROVENANCE not in listed:
        return [f"{PROVENANCE} is missing, so the origin is not proven"]
    statement = read(PROVENANCE)
    if wrong := check_provenance(statement, listed):
        return wrong
    manifest = Manifest.of(read(MANIFEST), MANIFEST)
    wrong = contradictions(manifest, read_object(statement, PROVENANCE))
    if LOCK in listed and not manifest.view:
        lock = read_object(read(LOCK), LOCK)
        expected = {"source": manifest.source, "tools": manifest.tools}
        wrong += [f"{MANIFEST} and {LOCK} differ in: {k}" for k in expected if lock.get(k) != expected[k]]
    return wrong


def prove_provenance(files: Files, read: Read) -> str:
    """The provenance covers these files and agrees with the manifest."""
    if wrong := provenance_faults(_listed(files), lambda name: _verified(files, read, name)):
        raise PublishError("; ".join(wrong))
    return f"{PROVENANCE} covers exactly these files"


def prove_signature(files: Files, read: Read, key: Path | None) -> str:
    """An existing signature is of these files; with a `key`, there is one, by the private key of its pair."""
    if SIGNATURE not in files:
        if key:
            raise PublishError(f"not signed, but it must be, with the private key of {key}")
        return "not signed"
    signature = _verified(files, read, SIGNATURE)
    claimed = signed_files(signature, key) if key else claimed_files(signature)
    if wrong := check_signed(claimed, _listed(files), files[MANIFEST].sha256):
        raise PublishError(f"{SIGNATURE}: {'; '.join(wrong)}")
    if key:
        return f"signed with the private key of {key}"
    return "signed; the key was not checked: give key=PUBLIC.pem"


def _listed(files: Files) -> Files:
    """The files that the manifest lists."""
    return {name: entry for name, entry in files.items() if name not in (MANIFEST, SIGNATURE)}


def _verified(files: Files, read: Read, name: str) -> bytes:
    content = read(name)
    if hashlib.sha256(content).hexdigest() != files[name].sha256:
        raise PublishError(f"{name} changed between two reads")
    return content

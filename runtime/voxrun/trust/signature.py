"""model.sig of an artifact: which files are signed, and with which key.

It is a Sigstore bundle (v0.3) of a DSSE envelope of an in-toto statement, as OpenSSF `model-signing` writes
it for an elliptic curve key. That library's verifier hashes a whole folder again and refuses links, so it can
check neither the Hub's cache nor a repository of which only the hashes are known. Here only the envelope is
opened (https://github.com/secure-systems-lab/dsse, protocol.md); only keys and values that the library writes
are accepted. The signature covers the payload, not the bytes around it: the white space of the JSON may
differ, and the ECDSA signatures (r, s) and (r, n - s) are equally valid.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.errors import TrustError
from voxrun.files.hashes import SHA256
from voxrun.files.objects import check_keys, read_object
from voxrun.files.paths import is_plain
from voxrun.messages import shown

from .manifest import MANIFEST, SIGNATURE, Entry, differences
from .provenance import STATEMENT

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
PREDICATE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True)
class Envelope:
    """The parts of a signature."""

    payload: bytes
    signature: bytes
    hint: str
    """The fingerprint of the signer's key."""

    @property
    def message(self) -> bytes:
        """The signed bytes: DSSE's pre-authentication encoding."""
        return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(self.payload), self.payload)


def signed_files(signature: bytes, key: Path) -> dict[str, str]:
    """Path -> sha256 of the files that model.sig (its bytes) signs, if it was made with `key`'s private key.

    The files themselves are not needed. Raises TrustError.
    """
    try:
        from . import keys
    except ImportError as error:
        raise TrustError("a signature is checked with `cryptography`: pip install cryptography") from error
    envelope, public = _open(signature), keys.public_key(key)
    by_it = envelope.hint == keys.fingerprint(public)
    if not by_it or not keys.signed(public, envelope.signature, envelope.message):
        raise TrustError(f"{SIGNATURE}: not signed with the private key of {key}; do not trust these files")
    return _files(envelope.payload)


def claimed_files(signature: bytes) -> dict[str, str]:
    """Path -> sha256 as `signed_files`, without checking the key. Raises TrustError for an invalid format."""
    return _files(_open(signature).payload)


def check_signed(signed: Mapping[str, str], entries: Mapping[str, Entry], digest: str) -> list[str]:
    """Where the signed files differ from a manifest's entries and its own digest: a phrase for each."""
    there = {name: entry.sha256 for name, entry in entries.items()} | {MANIFEST: digest}
    phrases = "is not signed", "is signed, but not in the manifest", "was another when it was signed"
    return differences(signed, there, *phrases)


def _open(signature: bytes) -> Envelope:
    bundle = read_object(signature, SIGNATURE)
    material = bundle.get("verificationMaterial")
    if isinstance(material, dict) and "publicKey" not in material:
        raise TrustError(
            f"{SIGNATURE}: signed with a certificate, not with a key; check it with `model_signing verify`"
        )
    check_keys(bundle, {"mediaType", "verificationMaterial", "dsseEnvelope"}, SIGNATURE)
    material = check_keys(material, {"publicKey", "tlogEntries"}, SIGNATURE)
    public = check_keys(material["publicKey"], {"hint"}, SIGNATURE)
    envelope = check_keys(bundle["dsseEnvelope"], {"payload", "payloadType", "signatures"}, SIGNATURE)
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise TrustError(f"{SIGNATURE}: exactly one signature was expected")
    only = check_keys(signatures[0], {"sig", "keyid"}, SIGNATURE)
    fixed = [bundle["mediaType"], envelope["payloadType"], only["keyid"], material["tlogEntries"]]
    if fixed != [BUNDLE, PAYLOAD, "", []]:
        raise TrustError(f"{SIGNATURE}: not as model-signing writes what it signs with a key")
    return Envelope(_decoded(envelope["payload"]), _decoded(only["sig"]), str(public["hint"]))


def _decoded(text: Any) -> bytes:
    """Decode base64 in its canonical form. Raises TrustError for any other."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise TrustError(f"{SIGNATURE}: no base64 ({error})") from error
    if base64.b64encode(data).decode() != text:
        raise TrustError(f"{SIGNATURE}: base64 with more in it than bytes")
    return data


def _files(payload: bytes) -> dict[str, str]:
    """The statement's path -> sha256. Raises TrustError for shards and for other hashes."""
    statement = read_object(payload, SIGNATURE)
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT, PREDICATE):
        raise TrustError(f"{SIGNATURE}: signs something else than a model's files")
    predicate = check_keys(statement.get("predicate"), {"resources", "serialization"}, SIGNATURE)
    if not isinstance(predicate["resources"], list):
        raise TrustError(f"{SIGNATURE}: signs no list of files")
    files: dict[str, str] = {}
    for resource in predicate["resources"]:
        check_keys(resource, {"name", "algorithm", "digest"}, SIGNATURE)
        name, algorithm, digest = (str(resource[key]) for key in ("name", "algorithm", "digest"))
        if algorithm != "sha256" or not SHA256.fullmatch(digest) or not is_plain(name) or name in files:
            raise TrustError(f"{SIGNATURE}: {shown(name)} is signed with another hash than sha256, or twice")
        files[name] = digest
    return files

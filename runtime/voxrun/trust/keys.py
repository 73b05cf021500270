"""Elliptic curve keys, by `cryptography`, which is optional: import this module only where a key is used."""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from voxrun.errors import TrustError
from voxrun.files.paths import StrictError, read_bytes, reason

MAX_KEY = 2**16
"""Bytes of a PEM file."""

HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""Curve -> the hash of the message that a key on it signs."""


def public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The key in a PEM file. Raises TrustError."""
    try:
        key = load_pem_public_key(read_bytes(path, MAX_KEY))
    except (OSError, StrictError) as error:
        raise TrustError(f"{path}: the public key cannot be read ({reason(error)})") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TrustError(f"{path}: no public key in PEM; that of the signer is needed") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in HASHES:
        raise TrustError(f"{path}: a key of another kind than {', '.join(HASHES)}")
    return key


def pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key as the bytes of a PEM file."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """The sha256 of `pem`."""
    return hashlib.sha256(pem(key)).hexdigest()


def signed(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Whether the private key of this public one signed the message (ECDSA)."""
    try:
        key.verify(signature, message, ec.ECDSA(HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True

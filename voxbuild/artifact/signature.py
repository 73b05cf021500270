"""Signing all files of an artifact, its manifest included, by OpenSSF model-signing."""

import os
from pathlib import Path
from typing import Any

from voxbuild.errors import SigningError
from voxbuild.files import written_whole
from voxrun.errors import VoxrunError
from voxrun.files.paths import TOOLS, StrictError, read_bytes
from voxrun.trust.manifest import SIGNATURE, digest_of, read_manifest
from voxrun.trust.signature import check_signed, claimed_files, signed_files

from .evidence import provenance_faults
from .manifest import MANIFEST, Manifest
from .variant import Variant

KEY = "VOXBUILD_SIGNING_KEY"
"""Environment variable: the path of the private key, a PEM file."""
PASSWORD = "VOXBUILD_SIGNING_PASSWORD"
"""Environment variable: the password of the private key, if it has one."""
MISSING = "signing needs model-signing and pyopenssl, not installed here: pip install model-signing pyopenssl"


def sign(folder: Path, private: Path, public: Path | None) -> None:
    """Sign all files of a validated artifact into model.sig; the key must be the pair of `public`, if given.

    The signed hashes are compared with the manifest before model.sig is put in place. Raises SigningError.
    """
    refuse_unready(folder)
    if wrong := provenance_faults(read_manifest(folder), lambda name: read_bytes(folder / name)):
        raise SigningError(f"{folder}: differs from its manifest: {'; '.join(wrong)}; build it again")
    signer = _signer(private, public)
    with written_whole(folder / SIGNATURE) as partial:
        try:
            signer.sign(folder, partial)
        except ValueError as error:  # the library refuses links and special files
            raise SigningError(f"{folder}: cannot be signed ({error})") from error
        if wrong := _differences(folder, claimed_files(partial.read_bytes())):
            raise SigningError(f"{folder}: differs from its manifest: {', '.join(wrong)}; build it again")


def unready(folder: Path) -> str | None:
    """Why the artifact in a folder cannot be signed yet, or None."""
    if not (folder / MANIFEST).is_file():
        return "not built"
    return None if Manifest.load(folder).validated else "not validated"


def refuse_unready(folder: Path) -> None:
    """Raises SigningError if the artifact cannot be signed yet."""
    if why := unready(folder):
        raise SigningError(f"{folder}: {why}, so not signed; run `doit build` to see why")


def faults(folder: Path, public: Path) -> list[str]:
    """Why an artifact's current files are not signed by the pair of the public key; a phrase each."""
    try:
        return _differences(folder, signed_files(read_bytes(folder / SIGNATURE), public))
    except OSError:
        return [f"{folder} has no {SIGNATURE}"]
    except StrictError as error:
        return [f"{folder / SIGNATURE}: {error}"]
    except VoxrunError as error:
        return [str(error)]


def _differences(folder: Path, signed: dict[str, str]) -> list[str]:
    return check_signed(signed, read_manifest(folder), digest_of(folder))


def _signer(private: Path, public: Path | None) -> Any:
    """model-signing's signer for the key and the files to sign. Raises SigningError."""
    try:
        from model_signing import hashing, signing

        from voxrun.trust.keys import fingerprint, public_key
    except ImportError as error:
        raise SigningError(MISSING) from error
    password = os.environ.get(PASSWORD, "").encode() or None
    own = fingerprint(_load_key(private, password).public_key())
    if public and fingerprint(public_key(public)) != own:
        raise SigningError(
            f"{private}: does not match {public}, the public key that `sign:` in the recipe names"
        )
    files = hashing.Config().set_ignored_paths(paths=[SIGNATURE, *sorted(TOOLS)], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(files)
    # The password must be bytes, though the annotation says str.
    return config.use_elliptic_key_signer(private_key=private, password=password)


def _load_key(private: Path, password: bytes | None) -> Any:
    """The private key. Raises SigningError."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from voxrun.trust.keys import HASHES

    try:
        key = load_pem_private_key(private.read_bytes(), password)
    except OSError as error:
        raise SigningError(f"{private}: the private key cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise SigningError(f"{private}: {error}; set {PASSWORD} if the key has a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in HASHES:
        raise SigningError(f"{private}: not a private key on one of the curves {', '.join(HASHES)}")
    return key


def fingerprint_of(public: Path) -> str:
    """sha256 of a PEM public key, as `openssl pkey -pubin -in FILE | openssl sha256` gives it.

    Raises SigningError if `cryptography` is not installed, voxrun's TrustError for an invalid key.
    """
    try:
        from voxrun.trust.keys import fingerprint, public_key
    except ImportError as error:
        raise SigningError(MISSING) from error
    return fingerprint(public_key(public))


def sign_variant(variant: Variant, key: str | None = None, named: bool = True) -> str:
    """Sign an artifact and its views; return what was done.

    `key` is the path of the private key; None: VOXBUILD_SIGNING_KEY names it. Unless recipe= names the recipe
    (`named`), an artifact that is not built or validated is skipped. Raises SigningError.
    """
    if (why := unready(variant.folder)) and not named:
        return f"{variant.name}: {why}, so not signed"
    refuse_unready(variant.folder)
    signed = [variant, *variant.views]
    for each in signed:
        each.check_current()
    for each in signed:
        sign(each.folder, _private_key(key), variant.public_key)
    folders = ", ".join(str(each.folder.relative_to(variant.work.root)) for each in signed)
    return f"{variant.name}: signed {folders}"


def _private_key(named: str | None) -> Path:
    if chosen := named or os.environ.get(KEY):
        return Path(chosen)
    raise SigningError(f"no private key to sign with: give key=PRIVATE.pem, or set {KEY}")

"""Signatures: all files of an artifact, its manifest included, signed with a key by OpenSSF model-signing."""

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
"""The environment variable that names the private key, a PEM file."""
PASSWORD = "VOXBUILD_SIGNING_PASSWORD"
"""The one that holds its password, if it has one."""
MISSING = "signing needs model-signing and pyopenssl, not installed here: pip install -e '.[signing]'"


def sign(folder: Path, private: Path, public: Path | None) -> None:
    """Sign all files of a validated artifact into model.sig, for `public` if that is given.

    What was signed is held against the manifest before it is called model.sig. Raises SigningError.
    """
    refuse_unready(folder)
    if wrong := provenance_faults(read_manifest(folder), lambda name: read_bytes(folder / name)):
        raise SigningError(f"{folder}: not as its manifest says: {'; '.join(wrong)}; build it again")
    signer = _signer(private, public)
    with written_whole(folder / SIGNATURE) as partial:
        try:
            signer.sign(folder, partial)
        except ValueError as error:  # the library's, of links and of what is no file
            raise SigningError(f"{folder}: cannot be signed ({error})") from error
        if wrong := _differences(folder, claimed_files(partial.read_bytes())):
            raise SigningError(f"{folder}: not as its manifest says: {', '.join(wrong)}; build it again")


def unready(folder: Path) -> str | None:
    """Why nothing in a folder can be signed."""
    if not (folder / MANIFEST).is_file():
        return "not built"
    return None if Manifest.load(folder).validated else "not validated"


def refuse_unready(folder: Path) -> None:
    """Raises SigningError for the same reason."""
    if why := unready(folder):
        raise SigningError(f"{folder}: {why}, so not signed; run `doit build` and see why")


def faults(folder: Path, public: Path | None) -> list[str]:
    """Why an artifact is not signed, as it is, with the other half of a public key; a phrase each.

    None: by whomever.
    """
    try:
        signature = read_bytes(folder / SIGNATURE)
        signed = signed_files(signature, public) if public else claimed_files(signature)
        return _differences(folder, signed)
    except OSError:
        return [f"{folder} has no {SIGNATURE}"]
    except StrictError as error:
        return [f"{folder / SIGNATURE}: {error}"]
    except VoxrunError as error:
        return [str(error)]


def _differences(folder: Path, signed: dict[str, str]) -> list[str]:
    return check_signed(signed, read_manifest(folder), digest_of(folder))


def _signer(private: Path, public: Path | None) -> Any:
    """model-signing, told the key and what to leave out. Raises SigningError."""
    try:
        from model_signing import hashing, signing

        from voxrun.trust.keys import fingerprint, public_key
    except ImportError as error:
        raise SigningError(MISSING) from error
    password = os.environ.get(PASSWORD, "").encode() or None
    half = fingerprint(_load(private, password).public_key())
    if public and fingerprint(public_key(public)) != half:
        raise SigningError(f"{private}: not the other half of {public}, which `sign:` in the recipe names")
    files = hashing.Config().set_ignored_paths(paths=[SIGNATURE, *sorted(TOOLS)], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(files)
    # Bytes, though its annotation says str: what it hands the password on to takes nothing else.
    return config.use_elliptic_key_signer(private_key=private, password=password)


def _load(private: Path, password: bytes | None) -> Any:
    """The private key. Raises SigningError."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from voxrun.trust.keys import HASHES

    try:
        key = load_pem_private_key(private.read_bytes(), password)
    except OSError as error:
        raise SigningError(f"{private}: the private key cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise SigningError(f"{private}: {error}; the password, if it has one, is in {PASSWORD}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in HASHES:
        raise SigningError(f"{private}: no private key on one of the curves {', '.join(HASHES)}")
    return key


def fingerprint_of(public: Path) -> str:
    """sha256 of a PEM public key, as `openssl pkey -pubin -in FILE | openssl sha256` gives it.

    Raises SigningError without `cryptography`, voxrun's TrustError for what is no such key.
    """
    try:
        from voxrun.trust.keys import fingerprint, public_key
    except ImportError as error:
        raise SigningError(MISSING) from error
    return fingerprint(public_key(public))


def sign_variant(variant: Variant, key: str | None = None, named: bool = True) -> str:
    """Sign an artifact and its views; return what was done.

    `key` is the path of the private key; None: the environment names it. Unless the recipe was `named`, the
    artifact may be missing or unvalidated. Raises SigningError.
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
    raise SigningError(f"no private key to sign with: say key=PRIVATE.pem, or set {KEY}")

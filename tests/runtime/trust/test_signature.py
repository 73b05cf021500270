"""model.sig: whose key made it, of which files; by the genuine library, read without trust."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from committed import CLIPS
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keys import write_keys
from signed_models import FILES, sign

from voxrun.errors import TrustError
from voxrun.files import paths
from voxrun.trust.manifest import Entry, digest_of, read_manifest
from voxrun.trust.proof import check
from voxrun.trust.provenance import check_provenance
from voxrun.trust.signature import check_signed, claimed_files, signed_files

ALL_FILES = [*FILES, "provenance.json", "manifest.json", "model.sig"]
FIRST = CLIPS / "prompts" / "please-try-again.flac"


def test_another_key_is_not_the_signers(signed: Path, tmp_path: Path) -> None:
    private, other = write_keys(tmp_path, "other")
    with pytest.raises(TrustError, match=r"not signed with the private key of .*other\.pub"):
        check(signed, other)
    sign(signed, private)
    check(signed, other)


def test_a_key_hint_alone_is_not_a_signature(signed: Path, public: Path, tmp_path: Path) -> None:
    """Who signs with a key of his own and names ours is found out."""
    own, _ = write_keys(tmp_path, "own")
    hint = json.loads((signed / "model.sig").read_text())["verificationMaterial"]
    sign(signed, own)
    forged = json.loads((signed / "model.sig").read_text()) | {"verificationMaterial": hint}
    (signed / "model.sig").write_text(json.dumps(forged))
    with pytest.raises(TrustError, match="not signed with the private key of"):
        check(signed, public)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_every_curve_of_the_library_is_known(curve: ec.EllipticCurve, unsigned: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, key=ec.generate_private_key(curve))
    sign(unsigned, private)
    check(unsigned, public)


def test_the_genuine_verifier_agrees(signed: Path, public: Path) -> None:
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(signed, signed / "model.sig")
    (signed / "README.md").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"Hash mismatch for 'README\.md'"):
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(signed, signed / "model.sig")
    with pytest.raises(TrustError):
        check(signed, public)


def no_key(path: Path) -> None:
    path.write_text("no key")


def rsa_key(path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def odd_curve(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1()).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda path: None, "the public key cannot be read"),
        (no_key, "no public key in PEM"),
        (rsa_key, "a key of another kind than secp256r1"),
        (odd_curve, "a key of another kind than secp256r1"),
    ],
)
def test_an_invalid_key_is_reported(
    write: Callable[[Path], None], complaint: str, signed: Path, tmp_path: Path
) -> None:
    write(tmp_path / "some.pub")
    with pytest.raises(TrustError, match=f"some.pub: {complaint}"):
        check(signed, tmp_path / "some.pub")


def changed(signature: Path, change: Callable[[dict[str, Any]], object]) -> bytes:
    bundle = json.loads(signature.read_text())
    change(bundle)
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda b: b.update(more=1), "were expected, not"),
        (lambda b: b.update(mediaType="other"), "not as model-signing writes"),
        (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), "not as model-signing writes"),
        (lambda b: b["dsseEnvelope"].update(payload="!"), "no base64"),
        (lambda b: b["dsseEnvelope"].update(payload=17), "no base64"),
        (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="QR=="), "base64 with more in it"),
        (lambda b: b["dsseEnvelope"].update(signatures=[]), "exactly one signature"),
        (lambda b: b["dsseEnvelope"].update(signatures=b["dsseEnvelope"]["signatures"] * 2), "exactly one"),
        (lambda b: b["dsseEnvelope"].pop("payload"), "were expected, not"),
        (lambda b: b["verificationMaterial"].update(publicKey=[]), "hint were expected, not list"),
        (lambda b: b.update(verificationMaterial={"certificate": {}}), "signed with a certificate"),
        (lambda b: b.update(verificationMaterial=7), "were expected, not int"),
    ],
)
def test_a_signature_of_another_form_is_refused(
    change: Callable[[dict[str, Any]], object], complaint: str, original: Path, public: Path
) -> None:
    data = changed(original / "model.sig", change)
    for read in (claimed_files, lambda data: signed_files(data, public)):
        with pytest.raises(TrustError, match=complaint):
            read(data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no readable JSON"),
        (b"\xff", "no readable JSON"),
        (b"[]", "a JSON object was expected, not list"),
        (b'{"a": 1, "a": 2}', "is there twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a":' * 100_000, "no readable JSON"),
        (b" " * (paths.MAX_BYTES + 1), "more than 8,388,608 bytes"),
    ],
    ids=["empty", "no UTF-8", "a list", "a doubled key", "NaN", "deep", "long"],
)
def test_json_has_one_meaning_or_none(data: bytes, complaint: str, original: Path) -> None:
    with pytest.raises(TrustError, match=complaint):
        claimed_files(data)
    (problem,) = check_provenance(data, read_manifest(original))
    assert complaint in problem


def payload_of(files: Any, **changes: Any) -> bytes:
    """A bundle, unsigned, whose statement has these resources."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://model_signing/signature/v1.0",
        "subject": [],
        "predicate": {"resources": files, "serialization": {}},
    } | changes
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {
        "payload": payload,
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": "", "keyid": ""}],
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        }
    ).encode()


RESOURCE = {"name": "a", "algorithm": "sha256", "digest": "0" * 64}


@pytest.mark.parametrize(
    ("resources", "changes", "complaint"),
    [
        ([RESOURCE, RESOURCE], {}, "or twice"),
        ([RESOURCE | {"algorithm": "blake3"}], {}, "another hash than sha256"),
        ([RESOURCE | {"digest": "0"}], {}, "another hash than sha256"),
        ([RESOURCE | {"name": "../a"}], {}, "another hash than sha256"),
        ([RESOURCE | {"more": 1}], {}, "were expected"),
        ([7], {}, "were expected, not int"),
        ({}, {}, "signs no list of files"),
        ([], {"predicateType": "https://slsa.dev/provenance/v1"}, "signs something else"),
        ([], {"_type": "x"}, "signs something else"),
        ([], {"predicate": 1}, "were expected, not int"),
    ],
)
def test_a_statement_of_another_form_is_refused(
    resources: Any, changes: dict[str, Any], complaint: str
) -> None:
    assert claimed_files(payload_of([RESOURCE])) == {"a": "0" * 64}
    with pytest.raises(TrustError, match=complaint):
        claimed_files(payload_of(resources, **changes))


def test_what_was_signed_is_known_without_the_files(original: Path, public: Path) -> None:
    files = signed_files((original / "model.sig").read_bytes(), public)
    assert files.keys() == {*FILES, "provenance.json", "manifest.json"}
    entries, digest = read_manifest(original), digest_of(original)
    assert check_signed(files, entries, digest) == []
    assert check_signed(files, entries, "0" * 64) == ["manifest.json was another when it was signed"]
    more = {**entries, "b": Entry(1, "0" * 64)}
    assert check_signed(files, more, digest) == ["b is not signed"]
    del entries["README.md"]
    assert check_signed(files, entries, digest) == ["README.md is signed, but not in the manifest"]

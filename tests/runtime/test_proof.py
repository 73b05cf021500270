"""--verify: nothing is loaded unless all files are what manifest, provenance and signature say."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT, CLIPS
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hub_server import HubServer, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keys import write_keys
from signed_models import FILES, sign, write_artifact, write_manifest, write_provenance

from voxrun import strict, transcriber
from voxrun.cli import main
from voxrun.errors import TrustError, VoxrunError
from voxrun.manifest import TOOLS, Entry, digest_of, read_manifest
from voxrun.proof import check
from voxrun.provenance import check_provenance
from voxrun.signature import check_signed, claimed_files, signed_files
from voxrun.transcriber import Transcriber

ALL_FILES = [*FILES, "provenance.json", "manifest.json", "model.sig"]
FIRST = CLIPS / "prompts" / "please-try-again.flac"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public half."""
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def public(keys: tuple[Path, Path]) -> Path:
    return keys[1]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """A small signed artifact. Change only copies."""
    folder = write_artifact(tmp_path_factory.mktemp("signed") / "small")
    sign(folder, keys[0])
    return folder


@pytest.fixture
def signed(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "signed"))


@pytest.fixture
def unsigned(signed: Path) -> Path:
    (signed / "model.sig").unlink()
    return signed


def test_an_artifact_as_it_was_made_is_proven(signed: Path, public: Path) -> None:
    proof = check(signed, public)
    assert (proof.digest, proof.files, proof.signed) == (digest_of(signed), len(FILES) + 1, True)
    assert str(proof).endswith(f"; signed with the private key of {public}")


def test_it_is_said_that_nobody_signed_or_that_it_was_not_asked_who(signed: Path) -> None:
    assert "whose signature it is was not checked: give --verify=KEY" in str(check(signed))
    (signed / "model.sig").unlink()
    proof = check(signed)
    assert not proof.signed
    assert str(proof).endswith("; not signed")


def test_who_asks_for_a_signature_takes_nothing_unsigned(unsigned: Path, public: Path) -> None:
    with pytest.raises(TrustError, match="not signed, so nothing says"):
        check(unsigned, public)


def flip(data: bytes, position: float) -> bytes:
    index = min(int(len(data) * position), len(data) - 1)
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


TAMPERING: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: flip(data, 0),
    "early byte": lambda data: flip(data, 0.23),
    "middle byte": lambda data: flip(data, 0.5),
    "late byte": lambda data: flip(data, 0.81),
    "last byte": lambda data: flip(data, 1),
    "cut short": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\n",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("how", TAMPERING)
@pytest.mark.parametrize("name", ALL_FILES)
def test_whatever_is_done_to_a_file_is_noticed(name: str, how: str, signed: Path, public: Path) -> None:
    data = (signed / name).read_bytes()
    (signed / name).write_bytes(TAMPERING[how](data))
    if (name, how) == ("model.sig", "longer"):
        assert check(signed, public)  # white space behind JSON says nothing
        return
    with pytest.raises(VoxrunError):
        check(signed, public)


@pytest.mark.parametrize("how", TAMPERING)
@pytest.mark.parametrize("name", [*FILES, "provenance.json"])
def test_without_a_signature_all_but_the_manifest_is_proven(name: str, how: str, unsigned: Path) -> None:
    (unsigned / name).write_bytes(TAMPERING[how]((unsigned / name).read_bytes()))
    with pytest.raises(TrustError, match=name.replace(".", r"\.")):
        check(unsigned)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(ALL_FILES), position=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    name: str, position: float, bit: int, original: Path, public: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flipped"
    shutil.copytree(original, folder, dirs_exist_ok=True)
    data = bytearray((original / name).read_bytes())
    data[min(int(len(data) * position), len(data) - 1)] ^= 1 << bit
    (folder / name).write_bytes(data)
    with pytest.raises(VoxrunError):
        check(folder, public)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_missing_file_is_named(name: str, signed: Path, public: Path) -> None:
    (signed / name).unlink()
    with pytest.raises(VoxrunError, match=r"missing|not signed|no manifest"):
        check(signed, public)


def test_two_files_in_each_others_place_are_noticed(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "a", {"one.safetensors": b"one", "two.safetensors": b"two"})
    (folder / "one.safetensors").write_bytes(b"two")
    (folder / "two.safetensors").write_bytes(b"one")
    with pytest.raises(TrustError, match=r"one\.safetensors: sha256 .* instead of"):
        check(folder)


@pytest.mark.parametrize(
    "name",
    ["model-2.safetensors", "notes.txt", ".hidden", "deep/er/file", ".eval_results/more.yaml", "tekken.json"],
)
def test_a_file_that_nobody_listed_is_refused(name: str, signed: Path) -> None:
    (signed / name).parent.mkdir(parents=True, exist_ok=True)
    (signed / name).write_bytes(b"more")
    with pytest.raises(TrustError, match=rf"{name}: not in the manifest; remove it"):
        check(signed)


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_what_the_hubs_tools_leave_is_none_of_the_artifacts(name: str, signed: Path, public: Path) -> None:
    if "." in name[1:] or name in (".gitattributes", ".DS_Store"):
        (signed / name).write_bytes(b"theirs")
    else:
        (signed / name).mkdir()
        (signed / name / "inside").write_bytes(b"theirs")
    check(signed, public)
    (signed / "deep" / name).mkdir(parents=True)
    (signed / "deep" / name / "inside").write_bytes(b"smuggled")
    with pytest.raises(TrustError, match="not in the manifest"):
        check(signed, public)


def test_links_may_lead_nowhere_else(signed: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes((signed / "config.json").read_bytes())
    (signed / "config.json").unlink()
    (signed / "config.json").symlink_to(elsewhere)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(signed)
    (signed / "config.json").unlink()
    (signed / "config.json").symlink_to("config.json")
    with pytest.raises(TrustError, match=r"config\.json: missing"):
        check(signed)


@pytest.mark.parametrize("name", ["manifest.json", "model.sig"])
def test_neither_manifest_nor_signature_may_be_elsewhere(name: str, signed: Path, tmp_path: Path) -> None:
    shutil.move(signed / name, tmp_path / name)
    (signed / name).symlink_to(tmp_path / name)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(signed)


def test_a_folder_behind_a_link_is_not_looked_into(signed: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (signed / "more").symlink_to(tmp_path / "more")
    with pytest.raises(TrustError, match="more: not in the manifest"):
        check(signed)


def test_what_is_no_file_is_refused_and_not_waited_for(signed: Path) -> None:
    (signed / "config.json").unlink()
    os.mkfifo(signed / "config.json")
    with pytest.raises(TrustError, match=r"config\.json: no file"):
        check(signed)


def in_a_cache(artifact: Path, cache: Path) -> Path:
    """As the Hub's client stores a repository: links to blobs."""
    repository = cache / "models--team--voice"
    snapshot = repository / "snapshots" / ("1" * 40)
    (repository / "blobs").mkdir(parents=True)
    for path in artifact.rglob("*"):
        if path.is_file():
            link = snapshot / path.relative_to(artifact)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            blob.write_bytes(path.read_bytes())
            link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_the_hubs_cache_holds_links_to_its_own_blobs_only(
    original: Path, tmp_path: Path, public: Path
) -> None:
    snapshot = in_a_cache(original, tmp_path / "cache")
    check(snapshot, public)
    outside = tmp_path / "cache" / "config.json"
    outside.write_bytes((original / "config.json").read_bytes())
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(outside)
    with pytest.raises(TrustError, match="a link that leads out of the folder"):
        check(snapshot, public)


def test_another_key_is_not_the_signers(signed: Path, tmp_path: Path) -> None:
    private, other = write_keys(tmp_path, "other")
    with pytest.raises(TrustError, match=r"not signed with the private key of .*other\.pub"):
        check(signed, other)
    sign(signed, private)
    check(signed, other)


def test_a_hint_does_not_make_a_signature(signed: Path, public: Path, tmp_path: Path) -> None:
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
def test_what_is_no_key_to_check_with_is_told(
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
        (b" " * (strict.MAX_BYTES + 1), "more than 8,388,608 bytes"),
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


def test_a_signature_of_another_manifest_is_no_signature_whoever_made_it(signed: Path) -> None:
    (signed / "README.md").write_bytes(b"another card")
    write_provenance(signed)
    write_manifest(signed)
    with pytest.raises(TrustError, match=r"README\.md was another when it was signed"):
        check(signed)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: s["subject"].pop(), "is none of its subjects"),
        (lambda s: s["subject"].append(s["subject"][0]), "is there twice"),
        (
            lambda s: s["subject"].append({"name": "b", "digest": {"sha256": "0" * 64}}),
            "b is not in the manifest",
        ),
        (
            lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
            "has another hash than in the manifest",
        ),
        (lambda s: s["subject"][0]["digest"].update(sha256=None), "or without a sha256"),
        (lambda s: s["subject"][0]["digest"].update(md5="0"), "were expected"),
        (lambda s: s.update(subject={}), "its subject is no list"),
        (lambda s: s.update(predicateType="other"), "no SLSA provenance v1"),
        (lambda s: s.update(_type="other"), "no SLSA provenance v1"),
        (lambda s: s.update(more=1), "were expected"),
    ],
)
def test_provenance_of_other_files_is_refused(
    change: Callable[[dict[str, Any]], object], complaint: str, unsigned: Path
) -> None:
    statement = json.loads((unsigned / "provenance.json").read_text())
    change(statement)
    (unsigned / "provenance.json").write_text(json.dumps(statement))
    write_manifest(unsigned)
    with pytest.raises(TrustError, match=complaint):
        check(unsigned)


def test_an_artifact_that_does_not_say_what_it_was_made_from_is_refused(unsigned: Path) -> None:
    (unsigned / "provenance.json").unlink()
    write_manifest(unsigned)
    with pytest.raises(TrustError, match=r"no provenance\.json"):
        check(unsigned)


@pytest.mark.parametrize("name", ["manifest.json", "model.sig", "provenance.json"])
def test_what_should_be_small_and_is_not_is_not_read(name: str, signed: Path) -> None:
    with (signed / name).open("ab") as file:
        file.truncate(2 * strict.MAX_BYTES)  # it takes no room
    with pytest.raises(TrustError, match=rf"{name}: (larger than|[\d,]+ bytes instead)"):
        check(signed)


def test_hashing_needs_little_memory(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "large", {"model.safetensors": bytes(64 * 2**20)})
    tracemalloc.start()
    try:
        check(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


def test_nothing_is_looked_at_before_it_is_proven(unsigned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriber, "load_model", lambda folder: pytest.fail("it was loaded"))
    monkeypatch.setattr(transcriber, "Tokenizer", lambda folder: pytest.fail("it was loaded"))
    (unsigned / "model.safetensors").write_bytes(TAMPERING["middle byte"](FILES["model.safetensors"]))
    with pytest.raises(TrustError, match=r"model\.safetensors: sha256"):
        Transcriber.open(unsigned, verify=True)


def test_the_library_that_checks_signatures_may_be_missing(signed: Path, public: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path\n"
        "from voxrun.proof import check\n"
        "print(check(Path(sys.argv[1])))\n"
        "try: check(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", program, str(signed), str(public)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "was not checked" in lines[0]
    assert lines[1] == "TrustError a signature is checked with `cryptography`: pip install cryptography"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """The embedded model as a signed artifact."""
    files = {path.name: path.read_bytes() for path in CHECKPOINT.iterdir()}
    folder = write_artifact(tmp_path_factory.mktemp("voice") / "voice", files)
    sign(folder, keys[0])
    return folder


def test_the_command_tells_in_one_line_what_was_proven(
    voice: Path, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--verify", f"--verify={public}"):
        assert main(["--model", str(voice), option, "--audio", str(FIRST)]) == 0
        out, err = capsys.readouterr()
        assert out == "please try again\n"
        assert err == f"voxrun: {check(voice, public if '=' in option else None)}\n"


def test_the_command_refuses_in_one_sentence(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(voice, tmp_path / "voice"))
    (folder / "params.json").write_bytes(flip((folder / "params.json").read_bytes(), 0.5))
    assert main(["--model", str(folder), "--verify", "--audio", str(FIRST)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"voxrun: {folder / 'params.json'}: sha256 ")
    assert err.endswith("damaged or changed; do not use it; fetch or build it again\n")
    assert err.count("\n") == 1


NAME = "team/voice"
FETCH = """
import sys
from pathlib import Path
from voxrun.errors import VoxrunError
from voxrun.trust import trusted
try:
    print(trusted(sys.argv[1], sys.argv[2] or None, verify=Path(sys.argv[3])))
except VoxrunError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        yield server


def fetch(hub: HubServer, key: Path, revision: str = "") -> subprocess.CompletedProcess[str]:
    """With the genuine client, in a process of its own: it reads its environment at import."""
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(hub.folder.parent / "hf-home")}
    return subprocess.run(
        [sys.executable, "-c", FETCH, NAME, revision, str(key)],
        env=online | home,
        capture_output=True,
        text=True,
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_download_is_proven_and_one_damaged_on_the_disk_is_refused(
    hub: HubServer, original: Path, public: Path
) -> None:
    commit = hub.add("models", NAME, files_of(original) | {".gitattributes": b"theirs"})
    process = fetch(hub, public)
    assert process.returncode == 0, process.stderr
    folder = Path(process.stdout.strip())
    assert folder.name == commit
    assert files_of(folder).keys() == files_of(original).keys() | {".gitattributes"}
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(flip(blob.read_bytes(), 0.5))
    again = fetch(hub, public, commit)
    assert again.returncode == 1
    assert "model.safetensors: sha256" in again.stderr


def swapped(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {"config.json": files["README.md"], "README.md": files["config.json"]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f | {"model.safetensors": flip(f["model.safetensors"], 0.7)}, "model.safetensors: sha256"),
        (lambda f: f | {"model.safetensors": f["model.safetensors"][:-1]}, "5,119 bytes instead of 5,120"),
        (swapped, "bytes instead of"),
        (lambda f: f | {"more.safetensors": b"more"}, "more.safetensors: not in the manifest"),
        (lambda f: {n: d for n, d in f.items() if n != "model.sig"}, "not signed"),
        (lambda f: {n: d for n, d in f.items() if n != "manifest.json"}, "no manifest.json, so that nothing"),
    ],
    ids=["flipped", "truncated", "swapped", "added", "unsigned", "no manifest"],
)
def test_a_repository_with_other_files_is_refused(
    change: Callable[[dict[str, bytes]], dict[str, bytes]],
    complaint: str,
    hub: HubServer,
    original: Path,
    public: Path,
) -> None:
    hub.add("models", NAME, change(files_of(original)))
    process = fetch(hub, public)
    assert process.returncode == 1
    assert complaint in process.stderr
    assert process.stderr.count("\n") == 1


def test_what_was_fetched_in_part_is_completed_to_be_proven(
    hub: HubServer, original: Path, public: Path
) -> None:
    """Without --verify only what is loaded is fetched; the rest comes when it is asked for."""
    commit = hub.add("models", NAME, files_of(original))
    folder = Path(fetch(hub, public, commit).stdout.strip())
    (folder / "README.md").unlink()
    shutil.rmtree(folder.parents[1] / "trees", ignore_errors=True)  # the client's list of what a commit has
    assert fetch(hub, public, commit).returncode == 0
    assert (folder / "README.md").is_file()

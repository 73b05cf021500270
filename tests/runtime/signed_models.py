"""Artifacts with manifest, provenance and signature, made by hand; keys to sign them with."""

import hashlib
import json
from pathlib import Path
from typing import Any

FILES = {
    "config.json": b'{"hidden_size": 64}',
    "model.safetensors": bytes(range(256)) * 20,
    "README.md": b"# A card\n",
    ".eval_results/prompts.yaml": b"- value: 4.2\n",
}


def write_artifact(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """These files, with provenance and a manifest."""
    for name, data in (files or FILES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write_provenance(folder)
    return write_manifest(folder)


def write_provenance(folder: Path, **changes: Any) -> None:
    """A statement about all that is there; `changes` go into it."""
    subjects = [
        {"name": name, "digest": {"sha256": entry["sha256"]}}
        for name, entry in entries(folder).items()
        if name != "provenance.json"
    ]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"buildType": "urn:test", "externalParameters": {"recipe": "4bit"}},
            "runDetails": {"builder": {"id": "urn:test"}},
        },
    }
    (folder / "provenance.json").write_text(json.dumps(statement | changes), encoding="utf-8")


def write_manifest(folder: Path) -> Path:
    """A manifest of all that is there."""
    text = json.dumps({"files": entries(folder), "validated": True}, indent=2)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def entries(folder: Path) -> dict[str, Any]:
    """Path -> size and sha256 of a folder's files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in ("manifest.json", "model.sig"):
            data = path.read_bytes()
            found[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return found


def sign(folder: Path, private: Path) -> None:
    """Sign a folder with the genuine library."""
    from model_signing import hashing, signing

    files = hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(files)
    config.use_elliptic_key_signer(private_key=private).sign(folder, folder / "model.sig")


def flip(data: bytes, position: float) -> bytes:
    index = min(int(len(data) * position), len(data) - 1)
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]

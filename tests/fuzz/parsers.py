"""The parsers of untrusted files, as one table: what each reads, and which errors it may raise."""

import json
import struct
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxbuild.artifact.lock import read_lock
from voxbuild.artifact.manifest import Manifest, read_validation
from voxbuild.artifact.signature import fingerprint_of
from voxbuild.errors import VoxbuildError
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import Strict, load
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.sources.clips import read_clips
from voxbuild.sources.found.find import find
from voxbuild.sources.found.reference import refer
from voxbuild.tensors.adapter import read_adapter
from voxbuild.tensors.adapter_config import read_config
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.workspace import Workspace
from voxrun.checkpoint.layout import INDEX, Layout
from voxrun.checkpoint.tensors import read_header_of
from voxrun.errors import TrustError, VoxrunError
from voxrun.stream.tokenizer import Tokenizer
from voxrun.trust.manifest import Entry, read_manifest
from voxrun.trust.pin import Pin
from voxrun.trust.provenance import check_provenance
from voxrun.trust.registry import Registry
from voxrun.trust.signature import claimed_files, signed_files

CORPUS = Path(__file__).parent / "corpus"
LONGEST_MESSAGE = 4000
ACCEPTED = "accepted"


@dataclass(frozen=True)
class Parser:
    """A file's name, its readers, and what else lies beside it."""

    file: str
    readers: tuple[Callable[[Path], object], ...]
    """Each takes the folder."""
    beside: tuple[tuple[str, bytes], ...] = ()


def packed(header: object, data: bytes = b"") -> bytes:
    """A safetensors file of this header and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, dtype: str = "U8", shape: list[int] | None = None) -> dict[str, object]:
    """A tensor in a header; without a shape bytes in a row."""
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


def _checkpoint(folder: Path) -> None:
    with Checkpoint(folder / "model.safetensors"):
        pass


def _adapter(folder: Path) -> None:
    dict(read_adapter(folder, SIZES).updates)


def _found(folder: Path) -> None:
    """The source in FOLDER/source, as `source=` finds it."""
    found = find(Workspace(folder), refer(str(folder / "source"), {}), None, {}, {}, {})
    assert load(folder / "out/.sources/source.yaml", Source) == found.source


def _section(kind: type[Strict], folder: Path) -> None:
    load(folder / "it.yaml", kind)


CLIPS = ClipSet(name="clips", summary="", folder=".", language="en", license="", attribution="")


def _provenance(folder: Path) -> None:
    if problems := check_provenance((folder / "provenance.json").read_bytes(), ENTRIES):
        raise TrustError("; ".join(problems))


def _claimed(folder: Path) -> None:
    claimed_files((folder / "model.sig").read_bytes())


def _signed(folder: Path) -> None:
    signed_files((folder / "model.sig").read_bytes(), folder / "key.pub")


def _registry(folder: Path) -> Registry:
    registry = Registry(folder)
    registry.find("voice")
    return registry


REPO, COMMIT = "team/voice", b"0123456789" * 4
IN_REGISTRY = "models--team--voice"
REFS = tuple((f"{IN_REGISTRY}/refs/{name}", COMMIT) for name in ("v1", "withdrawn-v1"))
ENTRIES = {name: Entry(1, digit * 64) for name, digit in (("a", "1"), ("b/c", "2"), ("provenance.json", "3"))}
KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWZLicvIFfLe3t/8mqS/1Xxbnf1h/
iVNg3Aa0ytIgopB+Z6E0jJF+ndk3zOXieJO5fHiJz5Ddp2yqVLMHpogCcA==
-----END PUBLIC KEY-----
"""
"""The other half of the one that signed corpus/signature/valid-signed, which is no more."""
TINY = Path(__file__).resolve().parents[2] / "tiny/checkpoint"
SIZES = Layout(TINY).config
LORA = json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 2}).encode()
SHARDS = tuple((f"{n}.safetensors", packed({n: entry(0, 4)}, bytes(4))) for n in "ab")
SOURCE = tuple(
    (f"source/{name}", content)
    for name, content in (
        ("a.safetensors", SHARDS[0][1]),
        ("b.safetensors", SHARDS[1][1]),
        ("params.json", (TINY / "params.json").read_bytes()),
        ("tekken.json", b"{}"),
    )
)
PARSERS = {
    "header": Parser("model.safetensors", (lambda f: read_header_of(f / "model.safetensors"), _checkpoint)),
    "index": Parser(INDEX, (lambda folder: Layout(folder).headers,), SHARDS),
    "adapter": Parser("adapter_model.safetensors", (_adapter,), (("adapter_config.json", LORA),)),
    "adapter-config": Parser("adapter_config.json", (read_config,)),
    "card": Parser("source/README.md", (_found,), SOURCE),
    "source-index": Parser("source/model.safetensors.index.json", (_found,), SOURCE),
    "source-config": Parser("source/config.json", (_found,), SOURCE),
    "config": Parser("config.json", (lambda folder: Layout(folder).config,)),
    "tekken": Parser("tekken.json", (Tokenizer,)),
    "manifest": Parser("manifest.json", (Manifest.load,)),
    "entries": Parser("manifest.json", (read_manifest,)),
    "provenance": Parser("provenance.json", (_provenance,)),
    "signature": Parser("model.sig", (_claimed, _signed), (("key.pub", KEY),)),
    "pin": Parser("voxrun.lock", (lambda folder: Pin.read(folder / "voxrun.lock"),)),
    "history": Parser(
        f"{IN_REGISTRY}/history.json", (lambda folder: _registry(folder).withdrawn(REPO, "v1"),), REFS
    ),
    "ref": Parser(f"{IN_REGISTRY}/refs/v1", (lambda folder: _registry(folder).commit(REPO, "v1"),), REFS[1:]),
    "validation": Parser("validation.json", (read_validation,)),
    "lock": Parser("recipe.lock", (lambda folder: read_lock(folder / "recipe.lock"),)),
    "transcripts": Parser(
        "transcripts.tsv", (lambda folder: read_clips(CLIPS, folder),), (("a.flac", b""), ("b.flac", b""))
    ),
    "key": Parser("key.pub", (lambda folder: fingerprint_of(folder / "key.pub"),)),
    "recipe": Parser("it.yaml", tuple(partial(_section, kind) for kind in (Recipe, Source, ClipSet))),
}


def folder_of(parser: Parser) -> Path:
    """A folder of its own for a parser."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for name, content in ((parser.file, b""), *parser.beside):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def outcomes(parser: Parser, data: bytes, folder: Path) -> list[str]:
    """What each reader says of a file: ACCEPTED, or its one sentence. Anything else is raised: a defect."""
    (folder / parser.file).write_bytes(data)
    said = []
    for read in parser.readers:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                read(folder)
        except (VoxrunError, VoxbuildError) as error:
            said.append(_checked(str(error)))
        else:
            said.append(ACCEPTED)
    return said


def _checked(message: str) -> str:
    if not message or "\n" in message or len(message) > LONGEST_MESSAGE:
        raise AssertionError(f"no sentence: {message[:200]!r}")
    message.encode()  # what a terminal is sent
    return message


def corpus(name: str) -> list[Path]:
    """The kept inputs of a parser."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())

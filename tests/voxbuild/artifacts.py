"""Finished artifacts for tests of publishing, as small as they can be."""

from voxbuild.manifest import CARD, VALIDATION, Manifest, file_entry
from voxbuild.publish import prepare
from voxbuild.workspace import write_json

REPO = "someone/Small-4bit"
RECIPE = "c0ffee"
"""Stands for the digest of the recipe that built them."""


def make_artifact(folder, weights=b"weights", extra=(), **changes):
    """Write an artifact whose files, validation and manifest agree; `changes` go into the manifest.

    `extra`: path -> bytes of further files.
    """
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tekken.json").write_text("{}")
    names = ["model.safetensors", "tekken.json", *extra]
    for name, content in dict(extra).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    weight_files = {name: file_entry(folder / name) for name in names}
    (folder / CARD).write_text("---\nlicense: mit\n---\n# A card\n")
    write_json(folder / VALIDATION, {"passed": True, "artifact": weight_files, "total": {"wer": 8.36}})
    files = weight_files | {name: file_entry(folder / name) for name in (CARD, VALIDATION)}
    facts = {
        "variant": "4bit",
        "model": "Small",
        "source": {},
        "recipe": {"digest": RECIPE},
        "tools": {},
        "device": "cpu",
    }
    facts |= {"parameters": 1, "bits_per_weight": 4.5, "files": files, "validated": True}
    Manifest(**(facts | changes)).save(folder)
    return folder


def make_release(folder, weights=b"weights", tag="v1"):
    """The same, prepared."""
    return prepare(make_artifact(folder, weights), RECIPE, REPO, tag)


def contents(folder):
    """Every file's path and bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

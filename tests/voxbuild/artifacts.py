"""Finished artifacts for tests of publishing, as small as they can be."""

from voxbuild.manifest import CARD, PROVENANCE, VALIDATION, Manifest, file_entry
from voxbuild.publish import prepare
from voxbuild.workspace import write_json
from voxrun.provenance import PREDICATE, STATEMENT

REPO = "someone/Small-4bit"
RECIPE = "c0ffee"
"""Stands for the digest of the recipe that built them."""


def make_artifact(folder, weights=b"weights", **changes):
    """Write an artifact whose files, validation and manifest agree; `changes` go into the manifest."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tekken.json").write_text("{}")
    weight_files = {name: file_entry(folder / name) for name in ("model.safetensors", "tekken.json")}
    (folder / CARD).write_text("---\nlicense: mit\n---\n# A card\n")
    write_json(folder / VALIDATION, {"passed": True, "artifact": weight_files})
    files = weight_files | {name: file_entry(folder / name) for name in (CARD, VALIDATION)}
    write_json(folder / PROVENANCE, statement_of(files))
    files |= {PROVENANCE: file_entry(folder / PROVENANCE)}
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


def statement_of(files):
    """The least that provenance says of files."""
    subjects = [{"name": n, "digest": {"sha256": e["sha256"]}} for n, e in sorted(files.items())]
    return {"_type": STATEMENT, "predicateType": PREDICATE, "subject": subjects, "predicate": {}}


def make_release(folder, weights=b"weights", tag="v1"):
    """The same, prepared."""
    return prepare(make_artifact(folder, weights), RECIPE, REPO, tag)


def contents(folder):
    """Every file's path and bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

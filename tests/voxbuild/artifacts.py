"""Finished artifacts for tests of publishing, as small as they can be."""

from cards import TEMPLATES, TINY_VALIDATION, make_manifest, make_subject
from keys import write_keys

from voxbuild.artifact.manifest import CARD, PROVENANCE, SIGNATURE, VALIDATION, file_entry, plain
from voxbuild.artifact.provenance import BUILD, BUILDER, VIEW, upstream_files
from voxbuild.artifact.signature import sign
from voxbuild.card.render import render_card
from voxbuild.files import write_json
from voxbuild.publish.release import prepare
from voxrun.trust.provenance import PREDICATE, STATEMENT

REPO = "someone/Small-4bit"
RECIPE = "c0ffee"
"""Stands for the digest of the recipe that built them."""


def make_artifact(folder, weights=b"weights", extra=(), repo=REPO, **changes):
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
    write_json(folder / VALIDATION, TINY_VALIDATION | {"artifact": plain(weight_files)})
    card = render_card(TEMPLATES, make_subject(source="tiny", repo=repo, files=weight_files))
    (folder / CARD).write_text(card, encoding="utf-8")
    files = weight_files | {name: file_entry(folder / name) for name in (CARD, VALIDATION)}
    facts = {"recipe": {"digest": RECIPE}, "source": {"name": "tiny", "files": {}}, "files": files} | changes
    write_json(folder / PROVENANCE, statement_of(files, make_manifest(**facts)))
    files |= {PROVENANCE: file_entry(folder / PROVENANCE)}
    make_manifest(**facts).save(folder)
    return folder


def statement_of(files, manifest=None):
    """Minimal provenance of files."""
    subjects = [{"name": n, "digest": {"sha256": e.sha256}} for n, e in sorted(files.items())]
    return {
        "_type": STATEMENT,
        "predicateType": PREDICATE,
        "subject": subjects,
        "predicate": predicate_of(manifest or make_manifest()),
    }


def predicate_of(manifest):
    """Minimal build facts of a provenance."""
    return {
        "buildDefinition": {
            "buildType": VIEW if manifest.view else BUILD,
            "externalParameters": {
                "recipe": {"name": manifest.variant},
                "source": manifest.source.get("name"),
            },
            "internalParameters": {
                "recipe": manifest.recipe,
                "device": manifest.device,
                "view": manifest.view,
                "weights": manifest.weight_digest,
            },
            "resolvedDependencies": upstream_files(manifest),
        },
        "runDetails": {"builder": {"id": BUILDER, "version": manifest.tools}},
    }


def make_release(folder, weights=b"weights", tag="v1"):
    """The same, prepared."""
    return prepare(make_artifact(folder, weights), RECIPE, REPO, tag)


def sign_artifact(folder):
    """Sign it with a key of its own, which lies beside it as NAME.pub; return the signature."""
    sign(folder, *write_keys(folder.parent, folder.name))
    return (folder / SIGNATURE).read_bytes()


def contents(folder):
    """Every file's path and bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

"""Converting a folder as a source, without doit: for tests."""

from voxbuild import stages
from voxbuild.artifact.variant import Variant
from voxbuild.recipes.source import Source
from voxbuild.tensors.checkpoint import ANY_DTYPE, Checkpoint


def source_of(folder, **keys):
    """The source of all files in a folder."""
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    params = "params.json" if (folder / "params.json").exists() else "config.json"
    facts = {
        "name": "mine",
        "model": "Mine",
        "summary": "For tests.",
        "path": str(folder),
        "weights": weights[0] if len(weights) == 1 else tuple(weights),
        "params": params,
        "license": "mit",
        "languages": ("en",),
    } | keys
    names = [*weights, facts["params"], facts.get("tokenizer", "tekken.json")]
    return Source.model_validate(facts | {"files": tuple({"name": name} for name in names)})


def variant_of(work, book, source, recipe="bf16", **changes):
    """The variant of a recipe without views, perhaps changed."""
    return Variant(work, book, source, book.recipe(recipe).model_copy(update={"dialects": ()} | changes))


def built(work, book, source, recipe="bf16", **changes):
    """Fetch, plan and convert; the folder of the artifact."""
    variant = variant_of(work, book, source, recipe, **changes)
    stages.fetch(work, source)
    stages.write_plan(variant)
    stages.convert(variant)
    return variant.folder


def stored_tensors(folder):
    """Name -> dtype, shape and bytes of all tensors of a folder."""
    found = {}
    for path in folder.glob("*.safetensors"):
        with Checkpoint(path, dtypes=ANY_DTYPE) as file:
            for t in file.tensors.values():
                found[t.name] = t.dtype, t.shape, bytes(file.read(t.start, t.nbytes))
    return found

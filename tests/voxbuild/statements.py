"""What is said about an artifact, for tests of provenance and BOM: pure, nothing was built."""

from cards import estimate, rates

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.recipes.loaders import LOADERS, MLX_AUDIO_LOADER
from voxbuild.workspace import Workspace
from voxrun.trust.manifest import Entry

UPSTREAM = "voxtral-mini-4b-realtime-2602"
WEIGHTS = {
    "config.json": Entry(10, "1" * 64),
    "model.safetensors": Entry(20, "2" * 64),
}
READ = {"consolidated.safetensors": {"size": 30, "sha256": "3" * 64}}
RUNTIME = {"voxrun": "9.9.9", "mlx": "0.99", "device": "Some GPU of mine"}
VALIDATION = {
    "passed": True,
    "sets": {
        "prompts": rates(35, 180, 4.44, 2.5, 3.89),
        "digits": rates(8, 40, 0.0, 0.0, 0.0),
    },
    "fidelity": {
        "positions": 12345,
        "top1_agreement": estimate(0.98765, 0.002),
        "kl_mean": estimate(0.001234),
        "kl_p99": estimate(0.0567),
    },
    "runtime": RUNTIME,
}
VIEW = {"dialect": MLX_AUDIO_LOADER.name, "artifact": "4" * 64}


def variant_of(book, recipe="4bit", source=UPSTREAM, view=None):
    loader = LOADERS[view["dialect"]] if view else None
    return Variant(Workspace(None), book, book.source(source), book.recipe(recipe), loader)


def manifest_of(recipe="4bit", view=None, source=None):
    return Manifest(
        variant=recipe,
        model="Model",
        source={"name": "any", "files": READ} | (source or {}),
        recipe={"name": recipe},
        tools={"voxbuild": "8.8.8", "mlx": "0.98"},
        device="cpu",
        parameters=4_429_665_024,
        bits_per_weight=4.5223,
        files=WEIGHTS,
        validated=False,
        view=view,
    )

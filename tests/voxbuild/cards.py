"""Input for cards in tests: the project's own recipes, and fixed figures."""

from pathlib import Path

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import Sibling
from voxbuild.card.subject import Subject
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS
from voxbuild.recipes.origins.folder import LocalFolder
from voxbuild.recipes.source import Adapter, Source, SourceFile
from voxbuild.workspace import Workspace
from voxrun.trust.manifest import Entry

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "model_cards"
UPSTREAM = "voxtral-mini-4b-realtime-2602"
KEY = "5d41402abc4b2a76b9719d911017c592ae3b1c6d4e2f8a90b7c8d9e0f1a2b3c4"


FINE_TUNE = Source(
    name="radio",
    model="Radio-4B",
    summary="Radio-4B, a fine-tune of mistralai/Voxtral-Mini-4B-Realtime-2602.",
    path=LocalFolder("/home/me/radio"),
    files=tuple(SourceFile(name=n) for n in ("consolidated.safetensors", "params.json", "tekken.json")),
    base_model="mistralai/Voxtral-Mini-4B-Realtime-2602",
    license="other",
    license_name="radio-licence",
    license_link="https://example.org/radio",
    languages=("nl",),
    private=True,
)
"""A local checkpoint."""
ADAPTED = (
    read_book(ROOT / "recipes")
    .source(UPSTREAM)
    .model_copy(
        update={"name": "adapted", "adapter": Adapter(path=LocalFolder("/home/me/lora")), "clips": ()}
    )
)
"""The upstream with a local LoRA adapter."""
ADAPTER_FILE = {"adapter/adapter_model.safetensors": {"size": 1000, "sha256": "a" * 64}}


def estimate(value, within=0.25):
    """A figure with an interval, as in a validation.json; `within`: how far its bounds are, as a share."""
    low, high = sorted((value * (1 - within), value * (1 + within)))
    return {"value": value, "low": round(low, 6) + 0.0, "high": round(high, 6)}


def rates(clips, words, wer, cer, unquantized):
    return {
        "clips": clips,
        "words": words,
        "wer": estimate(wer),
        "cer": estimate(cer),
        "unquantized_wer": estimate(unquantized),
        "wer_increase": estimate(round(wer - unquantized, 2), 2),
    }


VALIDATION = {
    "passed": True,
    "sets": {
        "chains": rates(5, 210, 10.95, 4.01, 10.48),
        "digits": rates(8, 40, 0.0, 0.0, 0.0),
        "fleurs-en": rates(100, 2250, 5.38, 2.17, 5.24),
        "prompts": rates(35, 180, 4.44, 2.5, 3.89),
    },
    "total": rates(148, 2680, 8.36, 2.33, 5.49)
    | {"text_agreement": estimate(0.804, 0.1), "character_agreement": estimate(0.99123, 0.005)},
    "unquantized": {"clips": 148, "words": 2680, "wer": estimate(5.49), "cer": estimate(2.22)},
    "fidelity": {
        "positions": 12345,
        "top1_agreement": estimate(0.98765, 0.002),
        "kl_mean": estimate(0.001234),
        "kl_p99": estimate(0.0567),
    },
}
TINY_VALIDATION = VALIDATION | {"sets": {n: s for n, s in VALIDATION["sets"].items() if n != "fleurs-en"}}
FILES = {
    "model-00001-of-00002.safetensors": Entry(2_000_000_000, "0" * 64),
    "model-00002-of-00002.safetensors": Entry(504_123_456, "1" * 64),
    "tekken.json": Entry(14_910_348, "2" * 64),
}


def make_manifest(**changes):
    facts = {
        "variant": "4bit",
        "model": "Model",
        "source": {},
        "recipe": {},
        "tools": {"voxbuild": "9.9.9"},
        "device": "cpu",
        "parameters": 4_429_665_024,
        "bits_per_weight": 4.5223,
        "files": FILES,
        "validated": True,
    }
    return Manifest(**(facts | changes))


def make_subject(
    recipe="4bit", source=UPSTREAM, loader=None, fingerprint=None, made_of=None, repo=None, **changes
):
    """A recipe's artifact over a source, which may be a Source; `changes` go into the manifest.

    `made_of`: the manifest's `source`.
    """
    book = read_book(ROOT / "recipes")
    known = book.source(source) if isinstance(source, str) else source
    chosen = book.recipe(recipe)
    if repo:
        publish = chosen.publish.model_copy(update={"repo": repo})
        chosen = chosen.model_copy(update={"publish": publish})
    validation = VALIDATION if source == UPSTREAM else TINY_VALIDATION
    variant = Variant(Workspace(ROOT), book, known, chosen, loader and LOADERS[loader])
    return Subject(variant, make_manifest(source=made_of or {}, **changes), validation, fingerprint)


def make_sibling(recipe, megabytes=2.5, wer=8.0, **changes):
    facts = {
        "recipe": recipe,
        "repo": f"voxbuild/Model-{recipe}",
        "tag": "v1",
        "digest": "c" * 64,
        "bytes": round(megabytes * 1e6),
        "bits_per_weight": 4.5,
        "wer": wer,
        "worst_wer": wer + 2,
    }
    return Sibling(**(facts | changes))


RECORD = (
    make_sibling("bf16", 8859.4, 5.49, bits_per_weight=16.0, kl_mean=0.0, kl_interval=(0.0, 0.0)),
    make_sibling("bf16", 8859.5, 5.49, bits_per_weight=16.0, dialect="mlx-audio"),
    make_sibling("8bit", 4710.0, 5.51, bits_per_weight=8.5053, wer_interval=(4.4, 7.1), kl_mean=0.00012),
    make_sibling("4bit", 2504.0, 99.0, bits_per_weight=4.0),  # the card's own figures take its place
    make_sibling("3bit", 2012.5, 7.9, bits_per_weight=3.6341),
)

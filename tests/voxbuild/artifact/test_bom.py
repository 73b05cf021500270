"""bom.cdx.json conforms to the CycloneDX 1.6 schema and describes the model completely."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from statements import RUNTIME, UPSTREAM, VALIDATION, VIEW, WEIGHTS, manifest_of, variant_of

from voxbuild.artifact.bom import artifact, make_bom, upstream
from voxbuild.recipes.book import read_book

CHECK = JsonStrictValidator(SchemaVersion.V1_6)


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture
def bom(book):
    """Make the bill of a recipe over a source, or of its view."""

    def make(recipe="4bit", source=UPSTREAM, view=None, validation=VALIDATION):
        variant, manifest = variant_of(book, recipe, source, view), manifest_of(recipe, view)
        origin = upstream(variant.source, manifest.source_files)
        ancestors = [artifact("someone/any", manifest_of(recipe))] if view else origin
        return make_bom(variant, manifest, validation, ancestors)

    return make


@pytest.mark.parametrize("view", [None, VIEW], ids=["artifact", "view"])
@pytest.mark.parametrize("source", [UPSTREAM, "tiny"])
@pytest.mark.parametrize("recipe", ["4bit", "bf16", "mixed-4-6", "4bit-search"])
def test_the_bom_conforms_to_the_schema(bom, recipe, source, view):
    made = bom(recipe, source, view)
    assert CHECK.validate_str(json.dumps(made)) is None
    references = [made["metadata"]["component"]["bom-ref"]]
    references += [tool["bom-ref"] for tool in made["metadata"]["tools"]["components"]]
    assert len(references) == len(set(references))


def test_the_schema_check_rejects_an_unknown_field(bom):
    made = bom()
    made["metadata"]["component"]["modelCard"]["more"] = 1
    assert CHECK.validate_str(json.dumps(made)) is not None


def test_it_has_files_ancestor_datasets_and_error_rates(bom):
    model = bom()["metadata"]["component"]
    assert (model["type"], model["group"]) == ("machine-learning-model", "voxbuild")
    assert model["name"] == "Voxtral-Mini-4B-Realtime-2602-4bit"
    hashes = {file["name"]: file["hashes"][0]["content"] for file in model["components"]}
    assert hashes == {name: entry.sha256 for name, entry in WEIGHTS.items()}
    (ancestor,) = model["pedigree"]["ancestors"]
    commit = "2769294da9567371363522aac9bbcfdd19447add"
    assert ancestor["purl"] == f"pkg:huggingface/mistralai/Voxtral-Mini-4B-Realtime-2602@{commit}"
    assert ancestor["components"][0]["hashes"][0]["content"] == "3" * 64
    assert model["pedigree"]["notes"] == "Quantized: affine, 4 bits in groups of 64; the rest in bfloat16."
    datasets = [dataset["name"] for dataset in model["modelCard"]["modelParameters"]["datasets"]]
    assert datasets == ["prompts", "digits", "chains", "fleurs-en"]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    within = {"lowerBound": "3.33", "upperBound": "5.55"}
    assert {"type": "WER (%)", "value": "4.44", "confidenceInterval": within, "slice": "prompts"} in metrics
    assert ("CER (%)", "0.0", "digits") in [(m["type"], m["value"], m.get("slice")) for m in metrics]
    within = {"lowerBound": "0.000926", "upperBound": "0.001543"}
    assert {"type": "kl_mean", "value": "0.001234", "confidenceInterval": within} in metrics


def test_a_views_ancestor_is_the_artifact(bom):
    model = bom(view=VIEW)["metadata"]["component"]
    (ancestor,) = model["pedigree"]["ancestors"]
    assert (ancestor["name"], ancestor["version"]) == ("any", manifest_of().weight_digest)
    assert model["pedigree"]["notes"] == "The same tensors as mlx-audio reads them."


def test_an_unquantized_artifact_is_called_converted(bom):
    assert bom("bf16")["metadata"]["component"]["pedigree"]["notes"] == "Converted to bfloat16."


def test_equal_content_gives_equal_bytes_and_other_content_another_serial(bom):
    assert json.dumps(bom()) == json.dumps(bom())
    other = bom(validation=VALIDATION | {"sets": {}})
    assert other["serialNumber"] != bom()["serialNumber"]
    assert RUNTIME["device"] not in json.dumps(bom())
    assert "timestamp" not in json.dumps(bom())

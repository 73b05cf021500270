"""provenance.json conforms to SLSA provenance v1 and names what the artifact was made from."""

import json

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement, statement_pb2
from statements import RUNTIME, UPSTREAM, VIEW, WEIGHTS, manifest_of, variant_of

from voxbuild.artifact.provenance import artifact_files, clip_dependencies, make_provenance, upstream_files
from voxbuild.recipes.book import read_book
from voxrun.trust.provenance import check_provenance

COMMIT = "2769294da9567371363522aac9bbcfdd19447add"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture
def provenance(book):
    """Make the statement of a recipe over a source, or of its view."""

    def make(recipe="4bit", source=UPSTREAM, view=None):
        variant = variant_of(book, recipe, source, view)
        origin = variant.source
        read = {"name": origin.name, **(origin.hub.model_dump() if origin.hub else {})}
        manifest = manifest_of(recipe, view, read)
        made_from = artifact_files("someone/any", WEIGHTS) if view else upstream_files(manifest)
        clips = clip_dependencies(book.clips["fleurs-en"], {}) + clip_dependencies(
            book.clips["prompts"], {"one.flac": "5" * 64}
        )
        return make_provenance(variant, manifest, WEIGHTS, made_from + clips, RUNTIME)

    return make


def parsed(made):
    """As in-toto's own message types read it; they know no other fields than the specification's."""
    whole = json_format.Parse(json.dumps(made), statement_pb2.Statement(), ignore_unknown_fields=False)
    statement.Statement.copy_from_pb(whole).validate()
    return json_format.ParseDict(
        json_format.MessageToDict(whole.predicate), provenance_pb2.Provenance(), ignore_unknown_fields=False
    )


@pytest.mark.parametrize("view", [None, VIEW], ids=["artifact", "view"])
@pytest.mark.parametrize("source", [UPSTREAM, "tiny"])
@pytest.mark.parametrize("recipe", ["4bit", "bf16", "mixed-4-6", "4bit-search"])
def test_the_specifications_own_types_parse_it(provenance, recipe, source, view):
    made = provenance(recipe, source, view)
    found = parsed(made)
    assert found.build_definition.build_type == f"urn:voxbuild:{'view' if view else 'build'}:1"
    assert found.run_details.builder.id == "urn:voxbuild:builder:1"
    assert dict(found.run_details.builder.version) == {"voxbuild": "8.8.8", "mlx": "0.98", "voxrun": "9.9.9"}
    for dependency in found.build_definition.resolved_dependencies:
        assert dependency.digest
    assert check_provenance(json.dumps(made).encode(), WEIGHTS) == []


def test_the_parser_rejects_an_unknown_field(provenance):
    made = provenance()
    made["predicate"]["buildDefinition"]["more"] = 1
    with pytest.raises(json_format.ParseError, match="more"):
        parsed(made)


def test_it_names_the_upstream_by_commit_and_hash(provenance):
    dependencies = provenance()["predicate"]["buildDefinition"]["resolvedDependencies"]
    repository, weights, corpus, clip = dependencies
    assert repository["uri"] == f"pkg:huggingface/mistralai/Voxtral-Mini-4B-Realtime-2602@{COMMIT}"
    assert repository["digest"] == {"gitCommit": COMMIT}
    assert weights["uri"].endswith(f"/resolve/{COMMIT}/consolidated.safetensors")
    assert weights["digest"] == {"sha256": "3" * 64}
    assert corpus["digest"] == {"gitCommit": "70bb2e84b976b7e960aa89f1c648e09c59f894dd"}
    assert clip == {"name": "clips/prompts/one.flac", "digest": {"sha256": "5" * 64}}


def test_a_local_source_is_named_by_hash(provenance):
    first = provenance(source="tiny")["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert first == {"name": "tiny/consolidated.safetensors", "digest": {"sha256": "3" * 64}}


def test_a_view_is_made_from_the_artifact(provenance):
    definition = provenance(view=VIEW)["predicate"]["buildDefinition"]
    assert definition["internalParameters"]["view"] == VIEW
    assert definition["resolvedDependencies"][1] == {
        "name": "someone/any/model.safetensors",
        "digest": {"sha256": "2" * 64},
    }


def test_its_parameters_are_exactly_the_recipes(provenance, root):
    import yaml

    said = yaml.safe_load((root / "recipes/4bit.yaml").read_text())
    parameters = provenance()["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters == {"recipe": said, "source": UPSTREAM}


def test_it_names_no_machine_and_no_time(provenance):
    text = json.dumps(provenance())
    assert RUNTIME["device"] not in text
    assert "startedOn" not in text
    assert text == json.dumps(provenance())

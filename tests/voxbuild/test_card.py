"""Model cards: the Hub's own reader finds in them what was measured."""

import huggingface_hub
import pytest
import yaml

from voxbuild.card import render_card, repo_name
from voxbuild.errors import VoxbuildError
from voxbuild.loaders import LOADERS
from voxbuild.manifest import Manifest
from voxbuild.recipe import read_book

VALIDATION = {
    "sets": {
        "prompts": {"clips": 35, "words": 180, "wer": 4.44, "cer": 2.5, "unquantized_wer": 3.89},
        "digits": {"clips": 8, "words": 40, "wer": 0.0, "cer": 0.0, "unquantized_wer": 0.0},
    },
    "fidelity": {"positions": 12345, "top1_agreement": 0.98765, "kl_mean": 0.001234, "kl_p99": 0.0567},
}
LANGUAGES = "en fr es de ru zh ja it pt nl ar hi ko"
UPSTREAM = "voxtral-mini-4b-realtime-2602"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture
def card(root, book):
    """Render a recipe's card over a source; `templates` may be another folder."""

    def render(recipe="4bit", source=UPSTREAM, templates=root / "model_cards", loader=None):
        files = {"model.safetensors": {"size": 2_500_000, "sha256": "0" * 64}}
        manifest = Manifest(
            variant=recipe,
            model="Model",
            source={},
            recipe={},
            tools={"voxbuild": "9.9.9"},
            device="cpu",
            parameters=4_429_665_024,
            bits_per_weight=4.5223,
            files=files,
            validated=False,
        )
        text = (root / f"recipes/{recipe}.yaml").read_text()
        chosen = book.recipe(recipe)
        return render_card(templates, book.source(source), chosen, book, manifest, VALIDATION, text, loader)

    return render


def test_the_hubs_reader_finds_the_metadata(card, book):
    data = huggingface_hub.ModelCard(card()).data
    assert data.library_name == "mlx"
    assert data.pipeline_tag == "automatic-speech-recognition"
    assert data.base_model == "mistralai/Voxtral-Mini-4B-Realtime-2602"
    assert data.base_model_relation == "quantized"
    assert data.license == "apache-2.0"
    assert sorted(data.language) == sorted(LANGUAGES.split())
    assert len(data.language) == 13
    assert {"mlx", "speech-to-text"} <= set(data.tags)


def test_the_model_index_holds_each_sets_rates(card):
    data = huggingface_hub.ModelCard(card()).data
    found = {(r.dataset_type, r.metric_type): r.metric_value for r in data.eval_results}
    expected = {(name, key): s[key] for name, s in VALIDATION["sets"].items() for key in ("wer", "cer")}
    assert found == expected
    assert {r.task_type for r in data.eval_results} == {"automatic-speech-recognition"}


def test_variants_that_are_not_quantized_are_not_called_so(card):
    data = huggingface_hub.ModelCard(card("bf16")).data
    assert data.base_model == "mistralai/Voxtral-Mini-4B-Realtime-2602"
    assert "base_model_relation" not in data.to_dict()


def test_cards_of_the_embedded_model_name_no_base_but_the_attribution(card, book):
    text = card(source="tiny")
    data = huggingface_hub.ModelCard(text).data.to_dict()
    assert "base_model" not in data
    assert data["license"] == "cc-by-sa-3.0"
    assert data["language"] == ["en"]
    assert book.source("tiny").attribution in text


@pytest.mark.parametrize("source", ["tiny", UPSTREAM])
def test_clips_are_listed_with_licence_and_attribution(card, book, source):
    text = card(source=source)
    for name in VALIDATION["sets"]:
        clips = book.clips[name]
        (line,) = [line for line in text.splitlines() if line.startswith(f"- **{name}**")]
        assert clips.license in line
        assert clips.attribution in line


def test_the_text_says_what_was_measured_and_how_it_was_made(card, root):
    text = card()
    for figure in (
        "4.522",
        "4,429,665,024",
        "2.5 MB",
        "12,345",
        "98.77 %",
        "0.00123",
        "0.0567",
        "4.44",
        "3.89",
    ):
        assert figure in text, figure
    assert "revision `2769294da9567371363522aac9bbcfdd19447add`" in text
    assert "voxbuild 9.9.9" in text
    quoted = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(quoted) == yaml.safe_load((root / "recipes/4bit.yaml").read_text())


def test_every_recipe_has_a_card_that_parses(card, book):
    for recipe in book.recipes:
        for source in book.sources:
            parsed = huggingface_hub.ModelCard(card(recipe, source))
            name = repo_name(book.source(source), book.recipe(recipe)).split("/")[1]
            assert name.startswith(f"{book.source(source).model}-{recipe}")
            assert parsed.text.strip().startswith(f"# {name}\n")
            assert "{{" not in parsed.content
            assert ("Experimental" in parsed.text) == book.recipe(recipe).experimental


def test_rules_of_a_mixed_recipe_are_told(card):
    assert "`language_model.embed_tokens`: 6 bits" in card("mixed-4-6")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ unknown }}", "'unknown' is undefined"),
        ("{{ validation.sets.nothing.wer }}", "no attribute 'nothing'"),
        ("{{ recipe", "unexpected end of template"),
        ("{% include 'other.j2' %}", "other.j2"),
        (None, "voxtral.md.j2"),
    ],
)
def test_a_template_that_is_wrong_is_told(card, tmp_path, template, expected):
    if template is not None:
        (tmp_path / "voxtral.md.j2").write_text(template)
    with pytest.raises(VoxbuildError) as caught:
        card(templates=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'voxtral.md.j2'}: ")
    assert expected in str(caught.value)


def test_the_front_matter_is_yaml_and_nothing_else(card):
    front = card().split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"] == "Voxtral-Mini-4B-Realtime-2602-4bit"


@pytest.mark.parametrize("name", ["mlx-audio", "transformers"])
def test_a_views_card_is_its_loaders(card, name):
    text = card("bf16", loader=LOADERS[name])
    repo = f"voxbuild/Voxtral-Mini-4B-Realtime-2602-bf16-{name}"
    assert huggingface_hub.ModelCard(text).data.library_name == name
    assert f"# {repo.split('/')[1]}\n" in text
    assert LOADERS[name].usage.format(repo=repo) in text
    assert f"voxrun --model {repo}" in text
    assert "those of voxbuild/Voxtral-Mini-4B-Realtime-2602-bf16, bit for bit" in text
    assert "this very artifact" not in text
    assert name not in card("bf16").replace("dialects: [voxmlx, mlx-audio, transformers]", "")


def test_a_view_may_have_a_name_of_its_own(card):
    repo = "voxbuild/Voxtral-Mini-4B-Realtime-2602-4bit-mlx-audio"
    text = card("4bit-mlx-audio", loader=LOADERS["mlx-audio"])
    assert f"voxrun --model {repo} " in text
    assert f"those of {repo}-voxrun, bit for bit" in text

"""Model cards: their metadata, as the Hub's client reads it, and their text hold what was measured."""

import json
import os
import re
import shutil
from dataclasses import replace

import huggingface_hub
import pytest
import yaml
from artifacts import contents
from cards import (
    ADAPTED,
    ADAPTER_FILE,
    FINE_TUNE,
    KEY,
    RECORD,
    TEMPLATES,
    TINY_VALIDATION,
    UPSTREAM,
    VALIDATION,
    make_subject,
)
from golden_cards import FOLDER, golden_files

from voxbuild.artifact.signature import fingerprint_of
from voxbuild.card.hub_metadata import eval_results
from voxbuild.card.render import render_card, write_card_files
from voxbuild.card.siblings import family, write_record
from voxbuild.errors import RecipeError, VoxbuildError
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS
from voxbuild.recipes.origins.hub import HubFiles
from voxbuild.recipes.recipe import Recipe, Sign
from voxbuild.recipes.source import Adapter
from voxbuild.workspace import Workspace
from voxrun.errors import TrustError

LANGUAGES = "en fr es de ru zh ja it pt nl ar hi ko"
VOXTRAL = "voxbuild/Voxtral-Mini-4B-Realtime-2602"
PEM = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEF054x0Two/1tLxt3jVgswa5P4Vr
Xuz7IV8ujbMdE4XwlUxE93SXvWF8wVsZhbaJjnTCNCMLzDPX9B24mpKrHg==
-----END PUBLIC KEY-----
"""


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


def card(recipe="4bit", source=UPSTREAM, templates=TEMPLATES, record=(), **more):
    subject = make_subject(recipe, source, **more)
    return render_card(templates, subject, family(record, subject))


def data_of(text):
    return huggingface_hub.ModelCard(text).data


@pytest.mark.parametrize("name", [*golden_files()])
def test_cards_equal_the_golden_files(name):
    """Meant to change? `python tests/voxbuild/golden_cards.py` writes them anew; look at the difference."""
    assert golden_files()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_the_hubs_validation_accepts_every_card(hub, monkeypatch):
    """By the check of the Hub in tests/hub_server: the client has none of its own."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    cards = [text for name, text in golden_files().items() if name.endswith(".md")]
    for text in cards:
        huggingface_hub.ModelCard(text).validate()
    wrong = cards[0].replace("base_model_relation: quantized", "base_model_relation: converted")
    with pytest.raises(ValueError, match="base_model_relation"):
        huggingface_hub.ModelCard(wrong).validate()
    huggingface_hub.close_session()
    assert len(hub.calls) == len(cards) + 1


def test_every_golden_file_belongs_to_a_case():
    assert {path.name for path in FOLDER.iterdir()} == golden_files().keys()


def test_the_hubs_reader_finds_the_metadata():
    data = data_of(card())
    assert data.library_name == "mlx"
    assert data.pipeline_tag == "automatic-speech-recognition"
    assert data.base_model == "mistralai/Voxtral-Mini-4B-Realtime-2602"
    assert data.base_model_relation == "quantized"
    assert data.license == "apache-2.0"
    assert sorted(data.language) == sorted(LANGUAGES.split())
    assert len(data.language) == 13
    assert {"mlx", "4-bit", "speech-to-text", "streaming"} <= set(data.tags)


def test_the_model_index_holds_each_sets_rates():
    results = data_of(card()).eval_results
    found = {(r.dataset_name.split(" ")[0], r.metric_type): r.metric_value for r in results}
    expected = {
        (name, key): s[key]["value"] for name, s in VALIDATION["sets"].items() for key in ("wer", "cer")
    }
    assert found == expected
    assert len(results) == len(expected)
    assert {r.task_type for r in results} == {"automatic-speech-recognition"}
    assert {r.source_url for r in results} == {f"https://huggingface.co/{VOXTRAL}-4bit"}


def test_a_dataset_of_the_hub_is_named_by_its_repository():
    (result, _) = [r for r in data_of(card()).eval_results if r.dataset_name.startswith("fleurs-en")]
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == (
        "google/fleurs",
        "en_us",
        "test",
    )
    assert re.fullmatch("[0-9a-f]{40}", result.dataset_revision)
    (other, _) = [r for r in data_of(card()).eval_results if r.dataset_name.startswith("digits")]
    assert (other.dataset_type, other.dataset_config, other.dataset_revision) == ("digits", None, None)


def test_the_evaluation_results_hold_only_datasets_of_the_hub():
    (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(eval_results(make_subject())))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("google/fleurs", "en_us", 5.38)
    assert entry.dataset_revision == "70bb2e84b976b7e960aa89f1c648e09c59f894dd"
    assert entry.notes.startswith("fleurs-en (100 clips): ")
    assert entry.source_url == f"https://huggingface.co/{VOXTRAL}-4bit"
    assert entry.verify_token is None
    assert entry.date is None
    assert eval_results(make_subject(source="tiny")) is None, "the embedded clips are none"


def test_unquantized_variants_are_not_tagged_as_quantized():
    data = data_of(card("bf16"))
    assert data.base_model == "mistralai/Voxtral-Mini-4B-Realtime-2602"
    assert "base_model_relation" not in data.to_dict()
    assert not [tag for tag in data.tags if tag.endswith("-bit")]


@pytest.mark.parametrize(
    ("recipe", "loader", "expected", "not_expected"),
    [
        ("8bit", None, {"mlx", "8-bit"}, {"mlx-audio"}),
        ("mixed-4-6", None, {"mlx"}, {"4-bit", "6-bit"}),
        ("4bit-mlx-audio", "mlx-audio", {"mlx", "mlx-audio", "4-bit"}, set()),
        ("bf16", "transformers", {"transformers"}, {"mlx"}),
    ],
)
def test_tags_name_the_loader_and_the_width_if_there_is_one(recipe, loader, expected, not_expected):
    tags = set(data_of(card(recipe, loader=loader)).tags)
    assert expected <= tags
    assert not not_expected & tags


def test_cards_of_the_embedded_model_name_no_base_but_the_attribution(book):
    text = card(source="tiny")
    data = data_of(text).to_dict()
    assert "base_model" not in data
    assert "base_model_relation" not in data
    assert data["license"] == "cc-by-sa-3.0"
    assert data["language"] == ["en"]
    assert book.source("tiny").attribution in text


@pytest.mark.parametrize("source", ["tiny", UPSTREAM])
def test_clips_are_listed_with_licence_and_attribution(book, source):
    text = card(source=source)
    for name in make_subject(source=source).validation["sets"]:
        clips = book.clips[name]
        (line,) = [line for line in text.splitlines() if line.startswith(f"- **{name}**")]
        assert clips.license in line
        assert clips.attribution in line


def test_the_text_says_what_was_measured_and_how_it_was_made(root):
    text = card()
    for figure in (
        "4.522",
        "4,429,665,024",
        "2,504.12 MB",
        "12,345",
        "98.77 (98.57 to 98.96)",
        "0.00123",
        "0.0567",
        "4.44",
        "3.89",
        "2,250",
    ):
        assert figure in text, figure
    assert "revision `2769294da9567371363522aac9bbcfdd19447add`" in text
    assert "voxbuild 9.9.9" in text
    quoted = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(quoted) == yaml.safe_load((root / "recipes/4bit.yaml").read_text())


def test_every_recipe_has_a_card_that_parses(book):
    for recipe in book.recipes:
        for source in book.sources:
            parsed = huggingface_hub.ModelCard(card(recipe, source))
            name = make_subject(recipe, source).variant.repo.split("/")[1]
            assert name.startswith(f"{book.source(source).model}-{recipe}")
            assert parsed.text.strip().startswith(f"# {name}\n")
            assert "{{" not in parsed.content
            assert ("Experimental" in parsed.text) == book.recipe(recipe).experimental


def test_rules_of_a_mixed_recipe_are_listed():
    assert "`language_model.embed_tokens`: 6 bits" in card("mixed-4-6")


def test_all_variants_are_listed_and_the_cards_own_is_bold():
    text = card(record=RECORD)
    rows = re.findall(r"^\| (\*\*)?\[(\S+)\]\((\S+)\).*$", text, re.MULTILINE)
    assert [(name, bool(bold)) for bold, name, _ in rows] == [
        ("bf16", False),
        ("8bit", False),
        ("4bit", True),
        ("3bit", False),
    ]
    assert rows[2][2] == f"https://huggingface.co/{VOXTRAL}-4bit"
    assert rows[1][2] == "https://huggingface.co/voxbuild/Model-8bit"
    assert "99.00" not in text, "the record's figures of the own variant"
    assert "](wer.png)" in text


def test_a_views_siblings_are_views_for_the_same_loader():
    text = card("mixed-4-6", record=RECORD, loader="mlx-audio")
    assert re.findall(r"^\| (?:\*\*)?\[(\S+)\]", text, re.MULTILINE) == ["bf16", "mixed-4-6"]


@pytest.mark.parametrize("record", [(), RECORD[3:4]], ids=["empty", "only itself"])
def test_without_siblings_there_is_no_table_no_plot_and_no_heading(record):
    text = card(record=record)
    assert "variants" not in text
    assert "wer.png" not in text


def test_a_signed_artifact_names_key_and_command():
    text = card(fingerprint=KEY)
    assert f"`{KEY}`" in text
    assert f"voxrun --verify=key.pub --model {VOXTRAL}-4bit --audio" in text
    assert "- `model.sig`: a signature over all files" in text
    assert "If `model.sig`" not in text


def test_a_card_does_not_claim_that_an_artifact_is_unsigned():
    text = card()
    assert "If `model.sig` lies beside this card, it is signed" in text
    assert f"voxrun --verify --model {VOXTRAL}-4bit --audio" in text
    assert "not signed" not in text


@pytest.mark.parametrize("fingerprint", [None, KEY])
def test_a_card_names_no_tag(fingerprint):
    """`doit publish tag=v2` publishes the same card."""
    text = card(fingerprint=fingerprint)
    assert not re.search(r"\bv\d|/blob/|/resolve/|/tree/", text)
    assert "`--revision TAG`" in text
    assert not re.search(r"\bv\d|/blob/", eval_results(make_subject()))


def test_the_fingerprint_equals_openssls(tmp_path):
    # openssl pkey -pubin -in key.pub | openssl sha256
    expected = "0c29d9dabad9dbb5b49b0150a3cec6832d177167b9d620f948f947a9673802d0"
    (tmp_path / "key.pem").write_text(PEM)
    assert fingerprint_of(tmp_path / "key.pem") == expected
    (tmp_path / "key.pem").write_text(PEM.replace("\n", "\r\n"))
    assert fingerprint_of(tmp_path / "key.pem") == expected


def test_the_card_files_of_an_artifact_are_written_and_others_removed(tmp_path):
    work, folder = Workspace(tmp_path), tmp_path / "artifact"
    shutil.copytree(TEMPLATES, work.cards, ignore=shutil.ignore_patterns("siblings"))
    work.recipes.mkdir()
    shutil.copy(TEMPLATES.parent / "recipes/4bit.yaml", work.recipes)
    (tmp_path / "key.pub").write_text(PEM)
    write_record(work.siblings_file(UPSTREAM), RECORD)
    subject = make_subject()
    signed = subject.variant.recipe.model_copy(update={"sign": Sign(public_key="../key.pub")})
    variant = replace(subject.variant, work=work, recipe=signed)
    write_card_files(variant, folder, subject.manifest, VALIDATION)
    assert contents(folder).keys() == {"README.md", ".eval_results/voxbuild.yaml", "wer.png"}
    assert fingerprint_of(tmp_path / "key.pub") in (folder / "README.md").read_text(encoding="utf-8")

    work.siblings_file(UPSTREAM).unlink()
    tiny = replace(variant, source=variant.book.source("tiny"))
    write_card_files(tiny, folder, subject.manifest, TINY_VALIDATION)
    assert contents(folder).keys() == {"README.md"}


@pytest.mark.parametrize("content", [None, "", PEM.replace("PUBLIC", "PRIVATE"), PEM.replace("MFkw", "MF!w")])
def test_a_malformed_public_key_has_no_fingerprint(tmp_path, content):
    if content is not None:
        (tmp_path / "key.pem").write_text(content)
    with pytest.raises(TrustError, match=r"key\.pem: (no public key in PEM|the public key cannot be read)"):
        fingerprint_of(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ unknown }}", "'unknown' is undefined"),
        ("{{ manifest.tools.nothing }}", "no attribute 'nothing'"),
        ("{{ recipe", "unexpected end of template"),
        ("{% include 'other.j2' %}", "other.j2"),
        (None, "voxtral.md.j2"),
    ],
)
def test_a_broken_template_is_reported(tmp_path, template, expected):
    if template is not None:
        (tmp_path / "voxtral.md.j2").write_text(template)
    with pytest.raises(VoxbuildError) as caught:
        card(templates=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'voxtral.md.j2'}: ")
    assert expected in str(caught.value)


def test_the_front_matter_is_yaml_and_nothing_else():
    front = card().split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"] == "Voxtral-Mini-4B-Realtime-2602-4bit"


@pytest.mark.parametrize("name", ["mlx-audio", "transformers"])
def test_a_views_card_describes_its_loader(name):
    text = card("bf16", loader=name)
    repo = f"{VOXTRAL}-bf16-{name}"
    assert data_of(text).library_name == name
    assert f"# {repo.split('/')[1]}\n" in text
    assert LOADERS[name].usage.format(repo=repo) in text
    assert f"voxrun --model {repo}" in text
    assert f"those of {VOXTRAL}-bf16, bit for bit" in text
    assert "this very artifact" not in text
    assert name not in card("bf16").replace("dialects: [voxmlx, mlx-audio, transformers]", "")


def test_the_repository_of_a_view_can_have_its_own_name():
    repo = f"{VOXTRAL}-4bit-mlx-audio"
    text = card("4bit-mlx-audio", loader="mlx-audio")
    assert f"voxrun --model {repo} " in text
    assert f"those of {repo}-voxrun, bit for bit" in text


def test_an_endless_public_key_is_not_read(tmp_path):
    key = tmp_path / "key.pub"
    variant = make_subject().variant
    signed = variant.recipe.model_copy(update={"sign": Sign(public_key="../key.pub")})
    variant = replace(variant, work=Workspace(tmp_path), recipe=signed)
    os.mkfifo(key)
    for spoil in (lambda: None, lambda: (key.unlink(), key.symlink_to("/dev/zero"))):
        spoil()
        with pytest.raises(TrustError, match=r"key\.pub: the public key cannot be read .not a regular file"):
            fingerprint_of(key)
        with pytest.raises(RecipeError, match=r"key\.pub: not a regular file"):
            _ = variant.public_key


def test_a_local_fine_tune_is_called_what_it_is():
    text = card(source=FINE_TUNE)
    data = data_of(text).to_dict()
    assert (data["base_model"], data["base_model_relation"]) == (FINE_TUNE.base_model, "finetune")
    assert data["language"] == ["nl"]
    assert f"Converted from the local checkpoint `radio`, a fine-tune of [{FINE_TUNE.base_model}](" in text
    assert "embedded" not in text
    assert "13 languages" not in text
    assert "as the original" not in text
    assert "source=radio" in text
    assert "base_model_relation" not in data_of(card(source="tiny")).to_dict()


def test_a_licence_of_ones_own_is_named_and_linked():
    text = card(source=FINE_TUNE)
    data = data_of(text).to_dict()
    assert data["license"] == "other"
    assert (data["license_name"], data["license_link"]) == ("radio-licence", "https://example.org/radio")
    assert text.endswith("## Licence\n\n[radio-licence](https://example.org/radio).\n")
    text = card(source=FINE_TUNE.model_copy(update={"license_link": "LICENSE"}))
    assert text.endswith("## Licence\n\nradio-licence (`LICENSE`).\n")


@pytest.mark.parametrize("recipe", ["4bit", "bf16"])
def test_a_merged_adapter_is_named(recipe):
    text = card(recipe, ADAPTED, made_of={"files": ADAPTER_FILE})
    data = data_of(text).to_dict()
    assert (data["base_model"], data["base_model_relation"]) == (ADAPTED.hub.repo, "finetune")
    assert f"A LoRA adapter was merged into the weights: a local one, sha256 `{'a' * 64}`.\n" in text
    hub = HubFiles(repo="me/lora", revision="b" * 40)
    text = card(recipe, ADAPTED.model_copy(update={"adapter": Adapter(hub=hub)}))
    assert f"weights: [me/lora](https://huggingface.co/me/lora) at revision `{'b' * 40}`.\n" in text
    assert "LoRA" not in card(recipe)


@pytest.mark.parametrize("source", [FINE_TUNE, ADAPTED], ids=lambda source: source.name)
def test_a_card_holds_no_path_of_this_machine(source, root):
    text = card(source=source, made_of={"files": ADAPTER_FILE})
    assert "/home" not in text
    assert str(root) not in text


def test_a_recipe_that_the_command_line_changed_is_printed_as_it_was_used(book):
    subject = make_subject()
    recipe = book.recipe("4bit")
    changes = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    changes["publish"]["repo"] = "me/{model}-{recipe}"
    changed = Recipe.model_validate_json(json.dumps(changes))
    variant = replace(subject.variant, recipe=changed)
    quoted = render_card(TEMPLATES, replace(subject, variant=variant)).split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(quoted) == changes
    assert "source: voxtral-mini-4b-realtime-2602\n" in quoted

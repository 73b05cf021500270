"""Recipes, sources and clip sets: those of the repository load, and each mistake is one message."""

import shutil

import pytest

from voxbuild.errors import RecipeError
from voxbuild.recipes.book import read_book
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.quantization import Quantize, Rule
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import load
from voxbuild.tensors.modes import MODES, Quantization

RECIPE = """\
name: some
summary: Some.
source: here
quantize:
  mode: affine
  bits: 4
  group_size: 64
  rules:
    - {match: adapter.*, bits: 6}
    - match: "*.v_proj"
      group_size: 32
    - {match: "*.k_proj", skip: true}
validate:
  clips: [words]
  gates: {wer: 3.0, top1_agreement: 0.9}
publish:
  repo: someone/{model}-{recipe}
card: card.md.j2
"""
SOURCE = """\
name: here
model: Here
summary: A source.
path: ../../here
files: [{name: consolidated.safetensors}, {name: params.json}, {name: tekken.json}]
license: mit
languages: [en]
"""
CLIPS = """\
name: words
summary: Words.
folder: ../../words
language: en
license: CC0-1.0
attribution: nobody.
"""


@pytest.fixture
def recipes(tmp_path):
    folder = tmp_path / "recipes"
    for name, text in {"some": RECIPE, "sources/here": SOURCE, "clips/words": CLIPS}.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def refused(recipes, name, text):
    """The message that reading the book ends with when a file holds this text."""
    (recipes / f"{name}.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_book(recipes)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{recipes}/")


def test_all_recipes_of_the_repository_load(root):
    book = read_book(root / "recipes")
    assert {"4bit", "6bit", "8bit", "bf16", "fp16", "mixed-4-6", "mxfp4", "nvfp4"} <= book.recipes.keys()
    assert {"tiny", "voxtral-mini-4b-realtime-2602"} <= book.sources.keys()
    assert {r.source for r in book.recipes.values()} == {"voxtral-mini-4b-realtime-2602"}
    for recipe in book.recipes.values():
        assert (root / "model_cards" / recipe.card).is_file()
        assert recipe.validation.gates.model_dump(exclude_none=True)
    modes = {r.quantize.mode for r in book.recipes.values() if r.quantize}
    assert modes == MODES.keys()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "validate:",
            "sign:\nvalidate:",
            "some.yaml:13: the key sign is empty; leave it out for its defa",
        ),
        (
            "wer: 3.0",
            "wer: 75.1",
            "some.yaml:15: validate.gates.wer: the limit can be 75 at most: above it, a",
        ),
        ("bits: 4", "bit: 4", "some.yaml:6: unknown key quantize.bit (did you mean bits?)"),
        ("validate:", "validation:", "some.yaml:13: unknown key validation (did you mean validate?)"),
        ("top1_agreement", "top_agreement", "some.yaml:15: unknown key validate.gates.top_agreement (did"),
        ("bits: 4", "bits: 7", "some.yaml:6: quantize.bits: affine allows bits 2, 3, 4, 5, 6, 8, not 7"),
        (
            "size: 64",
            "size: 16",
            "some.yaml:7: quantize.group_size: affine allows group_size 32, 64, 128",
        ),
        ("affine", "mxfp4", "some.yaml:7: quantize.group_size: mxfp4 allows group_size 32, not 64"),
        (
            "affine",
            "nf4",
            "some.yaml:5: quantize.mode: Input should be one of affine, mxfp4, mxfp8, nvfp4",
        ),
        (
            "bits: 6",
            "bits: 7",
            "some.yaml:9: quantize.rules.0.bits: affine allows bits 2, 3, 4, 5, 6, 8",
        ),
        (
            "bits: 6",
            "bits: 0",
            "some.yaml:9: quantize.rules.0.bits: affine allows bits 2, 3, 4, 5, 6, 8",
        ),
        (
            "size: 32",
            "size: 48",
            "some.yaml:11: quantize.rules.1.group_size: affine allows group_size 32, 64",
        ),
        (
            "bits: 4",
            "bits: 4\n  search: best",
            "some.yaml:7: quantize.search: Input should be one of none, mse, activation",
        ),
        (
            "bits: 4",
            "bits: 4\n  search: activation",
            "some.yaml:4: quantize: `search: activation` needs `calibrate:`",
        ),
        (", bits: 6}", ", search: activation}", "some.yaml:4: quantize: `search: activation` needs"),
        ("card: ", "calibrate: words\ncard: ", "some.yaml:18: calibrate: nothing is quantized with `search:"),
        (", bits: 6}", "}", "some.yaml:9: quantize.rules.0: a rule needs either `skip: true`, or bits"),
        ("skip: true", "skip: false", "some.yaml:12: quantize.rules.2: a rule needs either"),
        ("skip: true", "skip: true, bits: 4", "some.yaml:12: quantize.rules.2: a rule needs either"),
        ("[words]", "[]", "some.yaml:14: validate.clips: "),
        ("[words]", "words", "some.yaml:14: validate.clips: "),
        ("wer: 3.0", "wer: -1", "some.yaml:15: validate.gates.wer: "),
        ("wer: 3.0", "wer: .inf", "some.yaml:15: validate.gates.wer: Input should be a finite number"),
        ("0.9", "95", "some.yaml:15: validate.gates.top1_agreement: Input should be less than or equal to 1"),
        ("someone/{model}-{recipe}", "someone", "some.yaml:17: publish.repo: "),
        ("{model}-", "{modle}-", "some.yaml:17: publish.repo: "),
        ("card: ", "shards: {max_size: 0GB}\ncard: ", "some.yaml:18: shards.max_size: "),
        ("card: ", "shards: {max_size: 5}\ncard: ", "some.yaml:18: shards.max_size: "),
        ("card: ", "dtype: int8\ncard: ", "some.yaml:18: dtype: Input should be 'bfloat16', 'float16' or"),
        ("source: here", "source: there", "some.yaml:3: unknown source there; known: here"),
        ("[words]", "[words, noise]", "some.yaml:14: unknown clip set noise; known: words"),
        ("name: some", "name: other", "some.yaml: its name must be that of the file, some"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_message_with_its_line(recipes, old, new, expected):
    assert RECIPE.count(old) == 1
    assert refused(recipes, "some", RECIPE.replace(old, new)).startswith(expected)


BUDGET = RECIPE.replace("bits: 4", "bits: {budget: 4.5}").replace("card: ", "calibrate: words2\ncard: ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("budget: 4.5", "budget: -1", "some.yaml:6: quantize.bits.budget: Input should be greater than 0"),
        (
            "budget: 4.5",
            "bits: 4.5",
            "some.yaml:6: unknown key quantize.bits.bits (did you mean bytes?); allo",
        ),
        ("budget: 4.5", "bytes: 2.2", "some.yaml:6: quantize.bits.bytes: Input should be a valid string"),
        ("budget: 4.5", "bytes: 2.2TB", "some.yaml:6: quantize.bits.bytes: String should match"),
        ("{budget: 4.5}", "{}", "some.yaml:6: quantize.bits: a size limit needs exactly one of"),
        (
            "budget: 4.5",
            "budget: 4.5, bytes: 2GB",
            "some.yaml:6: quantize.bits: a size limit needs exactly one of",
        ),
        (
            "  rules:",
            "  widths: [7]\n  rules:",
            "some.yaml:8: quantize.widths.0: affine allows bits 2, 3, 4,",
        ),
        ("  rules:", "  widths: [4, 4]\n  rules:", "some.yaml:8: quantize.widths.1: 4 is listed twice"),
        (
            "  rules:",
            "  group_sizes: [16]\n  rules:",
            "some.yaml:8: quantize.group_sizes.0: affine allows gro",
        ),
        (
            "  rules:",
            "  least: [{match: a, bits: 9}]\n  rules:",
            "some.yaml:8: quantize.least.0.bits: no cand",
        ),
        (
            "calibrate: words2\n",
            "",
            "some.yaml:6: quantize.bits: a size limit needs `calibrate:` with a clip set",
        ),
        (
            "card: ",
            "dialects: [voxmlx]\ncard: ",
            "some.yaml:19: dialects.0: voxmlx reads one setting for all",
        ),
        ("{budget: 4.5}", "4\n  widths: [4]", "some.yaml:7: quantize.widths: only with a size limit, such"),
        (
            "{budget: 4.5}",
            "2.2GB",
            "some.yaml:6: quantize.bits: a size limit is written as `bits: {bytes: 2.2GB}`",
        ),
    ],
)
def test_a_mistake_in_a_budget_is_one_message_with_its_line(recipes, old, new, expected):
    assert BUDGET.count(old) == 1
    assert refused(recipes, "some", BUDGET.replace(old, new)).startswith(expected)


@pytest.mark.parametrize(
    ("name", "text", "old", "new", "expected"),
    [
        (
            "here",
            SOURCE,
            "path: ../../here\n",
            "",
            "here.yaml:1: a source needs exactly one of `hub:`",
        ),
        (
            "here",
            SOURCE,
            "{name: params.json}, ",
            "",
            "here.yaml:1: `files:` does not list p",
        ),
        (
            "here",
            SOURCE,
            "path: ../../here",
            "hub: {repo: a/b, revision: main}",
            "here.yaml:4",
        ),
        (
            "here",
            SOURCE,
            "model: ",
            "clips: [noise]\nmodel: ",
            "here.yaml:2: unknown clip set",
        ),
        (
            "here",
            SOURCE,
            "{name: params.json}",
            "{name: params.json, sha256: 0}",
            "here.yaml:5",
        ),
        (
            "here",
            SOURCE,
            "{name: params.json}",
            "{name: params.json}, {name: adapter/model.safetensors}",
            "here.yaml:1: `files:` lists adapter/model.safetensors, but adapter/ stands for the",
        ),
        ("words", CLIPS, "folder: ../../words\n", "", "words.yaml:1: a clip set needs exactly one of"),
        (
            "words",
            CLIPS,
            "license",
            "licence",
            "words.yaml:5: unknown key licence (did you mean l",
        ),
    ],
)
def test_a_mistake_in_a_source_or_clip_set_is_one_message(recipes, name, text, old, new, expected):
    assert text.count(old) == 1
    folder = "sources" if text == SOURCE else "clips"
    said = refused(recipes, f"{folder}/{name}", text.replace(old, new))
    assert said.removeprefix(f"{folder}/").startswith(expected)


def test_unknown_names_are_reported_with_the_known_ones(recipes):
    book = read_book(recipes)
    with pytest.raises(RecipeError, match="there is no recipe 5bit; known: some"):
        book.recipe("5bit")
    with pytest.raises(RecipeError, match="there is no source there; known: here"):
        book.source("there")


def test_the_first_matching_rule_applies(recipes):
    quantize = load(recipes / "some.yaml", Recipe).quantize
    assert quantize.for_module("adapter.w_in") == Quantization("affine", 6, 64)
    assert quantize.for_module("encoder.layers.0.attention.v_proj") == Quantization("affine", 4, 32)
    assert quantize.for_module("encoder.layers.0.attention.k_proj") is None
    assert quantize.for_module("encoder.layers.0.attention.q_proj") == Quantization("affine", 4, 64)
    both = (Rule(match="a.*", bits=8), Rule(match="a.b", skip=True))
    rules = Quantize(bits=4, group_size=64, rules=both)
    assert rules.for_module("a.b") == Quantization("affine", 8, 64)


SEARCHED = RECIPE.replace("bits: 4", "bits: 4\n  search: activation") + "calibrate: "
MXFP4 = """\
quantize: {mode: mxfp4, bits: 4, group_size: 32, search: mse}
"""


def test_a_search_is_accepted_only_for_affine(recipes):
    head, _, rest = RECIPE.partition("quantize:")
    text = head + MXFP4 + rest[rest.index("validate:") :]
    assert refused(recipes, "some", text).startswith(
        "some.yaml:4: quantize.search: only modes with biases can be searched, not mxfp4"
    )
    by_rule = MXFP4.replace("search: mse", "rules: [{match: adapter.*, search: mse}]")
    assert refused(recipes, "some", text.replace(MXFP4, by_rule)).startswith(
        "some.yaml:4: quantize.rules.0.search: only modes with biases"
    )


def test_a_rule_may_set_another_search(recipes):
    (recipes / "some.yaml").write_text(RECIPE.replace("bits: 6}", "bits: 6, search: mse}"))
    quantize = load(recipes / "some.yaml", Recipe).quantize
    assert quantize.for_module("adapter.w_in") == Quantization("affine", 6, 64, "mse")
    assert quantize.for_module("encoder.layers.0.attention.q_proj").search == "none"


def test_validation_clips_cannot_calibrate_under_any_name(recipes):
    (recipes / "clips/others.yaml").write_text(CLIPS.replace("words", "others"))
    (recipes / "some.yaml").write_text(SEARCHED + "others\n")
    assert read_book.__wrapped__(recipes).recipe("some").calibrate == "others"
    assert "some.yaml:20: unknown clip set noise; known: " in refused(recipes, "some", SEARCHED + "noise\n")
    assert "some.yaml:20: words cannot calibrate what words validates (over here)" in refused(
        recipes, "some", SEARCHED + "words\n"
    )
    (recipes / "clips/same.yaml").write_text(CLIPS.replace("name: words", "name: same"))
    assert "same cannot calibrate what words validates" in refused(recipes, "some", SEARCHED + "same\n")
    (recipes / "sources/here.yaml").write_text(SOURCE + "clips: [others]\n")
    assert "others cannot calibrate what others validates (over here)" in refused(
        recipes, "some", SEARCHED + "others\n"
    )


def test_the_digest_includes_the_calibration_clips(recipes):
    (recipes / "some.yaml").write_text(SEARCHED + "others\n")
    digests = set()
    for text in (CLIPS.replace("words", "others"), CLIPS.replace("words", "others").replace("CC0", "CC1")):
        (recipes / "clips/others.yaml").write_text(text)
        book = read_book.__wrapped__(recipes)
        digests.add(book.digest(book.source("here"), book.recipe("some")))
    assert len(digests) == 2


def test_the_digest_depends_on_content_not_on_spelling(recipes):
    def digest(**changed):
        texts = {"some": RECIPE, "sources/here": SOURCE, "clips/words": CLIPS} | changed
        for name, text in texts.items():
            (recipes / f"{name}.yaml").write_text(text)
        book = read_book.__wrapped__(recipes)
        return book.digest(book.source("here"), book.recipe("some"))

    first = digest()
    assert digest(some="# a comment\n" + RECIPE.replace("{wer: 3.0, top1", "{wer: 3, top1")) == first
    assert digest(some=RECIPE.replace("bits: 4", "bits: 5")) != first
    assert digest(**{"sources/here": SOURCE + "gates: {wer: 1.0}\n"}) != first
    assert digest(**{"clips/words": CLIPS.replace("CC0-1.0", "CC-BY-4.0")}) != first


def test_the_stricter_of_two_limits_applies():
    ours = Gates(wer=5.0, top1_agreement=0.9, kl_mean=0.1)
    theirs = Gates(wer=3.0, top1_agreement=0.95, kl_p99=1.0)
    both = Gates(wer=3.0, top1_agreement=0.95, kl_mean=0.1, kl_p99=1.0)
    assert ours.stricter(theirs) == theirs.stricter(ours) == both


def test_a_file_named_yml_is_reported(recipes):
    (recipes / "other.yml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"other\.yml: rename it to \.yaml"):
        read_book(recipes)


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(RecipeError, match="there is no such folder"):
        read_book(tmp_path / "recipes")


def test_shard_sizes_are_decimal(recipes):
    def limit(size):
        (recipes / "some.yaml").write_text(RECIPE + f"shards: {{max_size: {size}}}\n")
        return load(recipes / "some.yaml", Recipe).shards.max_bytes

    assert limit("5GB") == 5 * 10**9
    assert limit("12MB") == 12 * 10**6


def test_a_clip_set_of_a_source_joins_the_recipes(recipes):
    shutil.copy(recipes / "clips/words.yaml", recipes / "clips/more.yaml")
    (recipes / "clips/more.yaml").write_text(CLIPS.replace("name: words", "name: more"))
    (recipes / "sources/here.yaml").write_text(SOURCE + "clips: [words, more]\n")
    book = read_book(recipes)
    assert list(book.clip_sets(book.source("here"), book.recipe("some"))) == ["words", "more"]


def test_an_artifact_and_its_view_need_different_names(recipes):
    text = RECIPE.replace("publish:", "dialects: [mlx-audio]\npublish:\n  view: 'someone/{model}-{recipe}'")
    assert "the artifact and its views need different names" in refused(recipes, "some", text)


@pytest.mark.parametrize("nothing", ["", " null", " ~"])
def test_an_empty_quantize_is_not_silently_unquantized(recipes, nothing):
    head, _, rest = RECIPE.partition("quantize:")
    text = f"{head}quantize:{nothing}\n{rest[rest.index('validate:') :]}"
    assert refused(recipes, "some", text) == (
        "some.yaml:4: the key quantize is empty; leave it out for unquantized weights"
    )

"""The check of a card's front matter, as POST /api/validate-yaml answers it.

Errors (the card is refused): front matter that is no YAML, no mapping, or says a key twice; a license that is
not on the Hub's list, or a list of such; a language that is no ISO 639 code nor one of a few special values;
a base_model that is no name of a repository; a base_model_relation other than the four; tags, datasets and
metrics that are no lists of strings; a pipeline_tag or library_name that is no string; a model-index without
its required fields (https://github.com/huggingface/hub-docs/blob/main/modelcard.md). Warnings: no front
matter at all, a pipeline_tag that the Hub does not know.

The Hub's own check is not public. This one is made of its documentation and of answers that were published;
it does not look up whether a named model, data set or metric exists, and takes every code of three letters
for a language.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

FRONT_MATTER = re.compile(r"^\s*---[\r\n]+(.*?)[\r\n]+---(?:\r\n|\r|\n|$)", re.DOTALL)
MODEL = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
RELATIONS = ["adapter", "merge", "quantized", "finetune"]
_VALUES = yaml.safe_load(Path(__file__).with_name("card_values.yaml").read_text())
LICENSES, ISO_639_1, TASKS = (_VALUES[key].split() for key in ("licenses", "iso_639_1", "tasks"))
SPECIAL_LANGUAGES = ["code", "multilingual"]


def check(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a card."""
    block = FRONT_MATTER.match(content)
    if block is None or not block[1].strip():
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        card = yaml.load(block[1], _Loader)
    except yaml.YAMLError as error:
        return [f"Invalid YAML in README.md: {error}".replace("\n", " ")], []
    if not isinstance(card, dict):
        return ["the metadata must be an object"], []
    tag = card.get("pipeline_tag")
    unknown = isinstance(tag, str) and tag not in TASKS
    warnings = [f'The pipeline tag "{tag}" is not in the official list'] if unknown else []
    return [*_errors(card)], warnings


class _Loader(yaml.SafeLoader):
    """YAML 1.2, as the Hub reads it: `no` is Norwegian; and keys that are said twice are refused."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len({*map(repr, keys)}) != len(keys):
            raise yaml.constructor.ConstructorError(None, None, "duplicated mapping key", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?i:true|false)$"), list("tTfF"))


def _errors(card: dict[str, Any]) -> Iterator[str]:
    yield from _each(card, "license", lambda v: v in LICENSES, f"must be one of [{', '.join(LICENSES)}]")
    languages = "must be an ISO 639-1, 639-2 or 639-3 code (two/three letters), or code, or multilingual"
    yield from _each(card, "language", _is_language, languages)
    yield from _each(card, "base_model", _is_model, "is not valid. Use a model id from https://hf.co/models.")
    relation = card.get("base_model_relation", RELATIONS[0])
    if relation not in RELATIONS:
        yield f'"base_model_relation" must be one of [{", ".join(RELATIONS)}]'
    for key in ("tags", "datasets", "metrics"):
        if key in card and not isinstance(card[key], list):
            yield f'"{key}" must be an array'
        else:
            yield from _each(card, key, lambda v: isinstance(v, str), "must be a string")
    for key in ("pipeline_tag", "library_name"):
        if key in card and not isinstance(card[key], str):
            yield f'"{key}" must be a string'
    if "model-index" in card:
        yield from _required(card["model-index"], '"model-index', MODEL_INDEX)


def _each(card: dict[str, Any], key: str, good: Callable[[Any], bool], must: str) -> Iterator[str]:
    """The value of a key, or each of the list it is."""
    if key not in card:
        return
    value = card[key]
    for index, each in enumerate(value if isinstance(value, list) else [value]):
        if not good(each):
            where = f"{key}[{index}]" if isinstance(value, list) else key
            yield f'"{where}" with value "{each}" {must}'


def _is_language(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value in ISO_639_1 or value in SPECIAL_LANGUAGES or bool(re.fullmatch("[a-z]{3}", value))


def _is_model(value: Any) -> bool:
    return isinstance(value, str) and bool(MODEL.fullmatch(value))


METRIC = {"type": str, "value": object}
RESULT = {"task": {"type": str}, "dataset": {"type": str, "name": str}, "metrics": [METRIC]}
MODEL_INDEX = [{"name": str, "results": [RESULT]}]
"""What is required of it: keys of objects, lists of one or more, types."""


def _required(value: Any, where: str, shape: Any) -> Iterator[str]:
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            yield f'{where}" must be a non-empty array'
        else:
            for index, each in enumerate(value):
                yield from _required(each, f"{where}[{index}]", shape[0])
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f'{where}" must be an object'
        else:
            for key, inner in shape.items():
                yield from _required(value.get(key), f"{where}.{key}", inner)
    elif value is None or not isinstance(value, shape):
        yield f'{where}" is required' if value is None else f'{where}" must be a string'

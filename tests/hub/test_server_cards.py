"""The check of cards: the answers that the genuine client gets for a README before it uploads anything."""

import copy

import pytest
import yaml
from hub_server import HubServer
from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCard, ModelCardData

GOOD = {
    "language": ["en", "fr", "zh", "no"],
    "license": "apache-2.0",
    "library_name": "mlx",
    "pipeline_tag": "automatic-speech-recognition",
    "base_model": "mistralai/Voxtral-Mini-4B-Realtime-2602",
    "base_model_relation": "quantized",
    "tags": ["mlx", "speech-to-text"],
}
RESULT = EvalResult(
    task_type="automatic-speech-recognition",
    dataset_type="team/clips",
    dataset_name="Clips",
    metric_type="wer",
    metric_value=4.2,
)


RESULTS = {
    "task": {"type": "automatic-speech-recognition"},
    "dataset": {"type": "team/clips", "name": "Clips"},
    "metrics": [{"type": "wer", "value": 0}],
}


def commit(client: HfApi, repo: str, content: str) -> None:
    operations = [CommitOperationAdd("README.md", content.encode())]
    client.create_commit(repo, operations, commit_message="Card")


def front_matter(**changes: object) -> str:
    return f"---\n{yaml.safe_dump(GOOD | changes)}---\n# Voice\n"


def index(*results: object) -> list[object]:
    return [{"name": "Voice", "results": list(results)}]


def test_a_good_card_passes(client: HfApi, repo: str) -> None:
    data = ModelCardData(**GOOD, model_name="Voice", eval_results=[RESULT])
    ModelCard(f"---\n{data.to_yaml()}\n---\n# Voice\n").validate()
    more = {"base_model": ["team/a", "team/b"], "language": "multilingual", "license": ["mit", "cc-by-4.0"]}
    commit(client, repo, front_matter(**more, **{"model-index": index(RESULTS)}))


def test_norwegian_is_a_language(client: HfApi, repo: str) -> None:
    commit(client, repo, "---\nlanguage: no\n---\n")


def test_the_card_class_raises_on_errors_too(client: HfApi) -> None:
    card = ModelCard("---\nlicense: my-license\n---\n# Voice\n")
    with pytest.raises(ValueError, match='- Error: "license" with value "my-license"'):
        card.validate()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("license", "my-license", '"license" with value "my-license" must be one of'),
        ("language", ["en", "xx"], r'"language\[1\]" with value "xx" must be an ISO 639'),
        ("language", "English", '"language" with value "English" must be'),
        ("language", "en-US", '"language" with value "en-US" must be'),
        ("base_model", "/home/me/model", '"base_model" with value "/home/me/model" is not valid'),
        ("base_model", "Voxtral Mini", "is not valid. Use a model id"),
        ("base_model_relation", "conversion", '"base_model_relation" must be one of'),
        ("tags", "mlx", '"tags" must be an array'),
        ("datasets", [None], r'"datasets\[0\]"'),
        ("pipeline_tag", ["asr"], '"pipeline_tag" must be a string'),
        ("model-index", [], '"model-index" must be a non-empty array'),
        ("model-index", index({"task": {"type": "asr"}}), 'dataset" must be an object'),
    ],
)
def test_a_wrong_card_is_refused(
    hub: HubServer, client: HfApi, repo: str, key: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=rf"Invalid metadata in README\.md\.\n- .*{said}"):
        commit(client, repo, front_matter(**{key: value}))
    assert "README.md" not in hub.content(repo)


@pytest.mark.parametrize("missing", ["task.type", "dataset.name", "dataset.type", "metrics[0].value"])
def test_an_incomplete_model_index_is_refused(client: HfApi, repo: str, missing: str) -> None:
    result = copy.deepcopy(RESULTS)
    key, _, field = missing.partition(".")
    del (result["metrics"][0] if key == "metrics[0]" else result[key])[field]
    with pytest.raises(ValueError, match="is required") as error:
        commit(client, repo, front_matter(**{"model-index": index(result)}))
    assert f'- "model-index[0].results[0].{missing}" is required' in str(error.value)


@pytest.mark.parametrize(
    "content", ["---\nlicense: mit\nlicense: mit\n---\n", "---\na: [\n---\n", "---\n- mit\n---\n"]
)
def test_unreadable_front_matter_is_refused(hub: HubServer, client: HfApi, repo: str, content: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        commit(client, repo, content)
    assert "README.md" not in hub.content(repo)


@pytest.mark.parametrize(
    ("content", "said"),
    [("# Voice\n", "missing yaml metadata"), ("---\npipeline_tag: hearing\n---\n", 'pipeline tag "hearing"')],
)
def test_warnings_do_not_refuse_a_card(
    hub: HubServer, client: HfApi, repo: str, content: str, said: str
) -> None:
    with pytest.warns(UserWarning, match=said):
        commit(client, repo, content)
    assert hub.content(repo)["README.md"] == content.encode()

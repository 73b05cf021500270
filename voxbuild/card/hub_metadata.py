"""The metadata that the Hub reads: the card's front matter and the file of evaluation results.

Both are made by the client's own types. The Hub knows four relations to a base model (adapter, finetune,
merge, quantized). None fits weights that were only renamed or cast, so a 16-bit variant of a checkpoint on
the Hub names no relation.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from .origin import base_of
from .subject import Subject

TASK = "automatic-speech-recognition"
REPORT = "validation.json, in the same revision"
"""The source of the results; not a link, as the card does not know its tags."""
RATES = {"wer": "WER, per cent", "cer": "CER, per cent"}


def front_matter(subject: Subject) -> str:
    """The YAML at the head of the card; its `model-index` holds each clip set's WER and CER."""
    from huggingface_hub import ModelCardData

    variant, source = subject.variant, subject.variant.source
    base = base_of(source, quantized=variant.recipe.quantize is not None)
    given: dict[str, Any] = {}
    if base and base.relation:
        given["base_model_relation"] = base.relation
    if own := source.own_license:
        given["license_name"], given["license_link"] = own
    data = ModelCardData(
        library_name=_library(subject),
        pipeline_tag=TASK,
        license=source.license,
        language=list(source.languages) or None,
        base_model=base and base.repo,
        tags=_tags(subject),
        metrics=list(RATES),
        model_name=variant.repo.split("/")[1],
        eval_results=[
            _result(subject, name, metric) for name in subject.validation["sets"] for metric in RATES
        ],
        **given,
    )
    return data.to_yaml()


def eval_results(subject: Subject) -> str | None:
    """`.eval_results/*.yaml`: the WER of each clip set that is a dataset on the Hub; None if there is none.

    The format, https://huggingface.co/docs/hub/eval-results, has one value for each dataset. The Hub shows
    it only if the dataset has a leaderboard.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for name, rates in subject.validation["sets"].items():
        if dataset := subject.clips[name].corpus.dataset():
            entries.append(
                EvalResultEntry(
                    dataset_id=dataset["dataset_type"],
                    task_id=dataset["dataset_config"],
                    dataset_revision=dataset["dataset_revision"],
                    value=rates["wer"]["value"],
                    source_url=_url(subject),
                    source_name=REPORT,
                    notes=f"{set_label(name, rates)}: WER in per cent; {subject.clips[name].summary}",
                )
            )
    if not entries:
        return None
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def set_label(name: str, rates: Mapping[str, Any]) -> str:
    """The name of a clip set in a result."""
    return f"{name} ({rates['clips']} clips)"


def _library(subject: Subject) -> str:
    return subject.variant.loader.library if subject.variant.loader else "mlx"


def _tags(subject: Subject) -> list[str]:
    """The tags that mlx-community uses for this model; with the width if all tensors have the same."""
    quantize = subject.variant.recipe.quantize
    uniform = quantize and not quantize.budget and not any(rule.bits for rule in quantize.rules)
    width = [f"{quantize.bits}-bit"] if quantize and uniform else []
    library = _library(subject)
    mlx = ["mlx"] if library.startswith("mlx") else []
    return [*mlx, library, *width, "speech-to-text", "streaming", "realtime", "voxtral", "voxrun"]


def _result(subject: Subject, name: str, metric: str) -> Any:
    from huggingface_hub import EvalResult

    rates, clips = subject.validation["sets"][name], subject.clips[name]
    return EvalResult(
        task_type=TASK,
        dataset_name=f"{set_label(name, rates)}: {clips.summary}",
        metric_type=metric,
        metric_name=RATES[metric],
        metric_value=rates[metric]["value"],
        source_name=REPORT,
        source_url=_url(subject),
        **(clips.corpus.dataset() or {"dataset_type": name}),  # a clip set that is not on the Hub
    )


def _url(subject: Subject) -> str:
    return f"https://huggingface.co/{subject.variant.repo}"

"""bom.cdx.json: an artifact's bill of materials, a CycloneDX 1.6 ML-BOM. Pure; `attest` writes it.

https://cyclonedx.org/docs/1.6/json/. Equal inputs give equal bytes: it holds no times, and the serial number
follows from the content.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from voxbuild.recipes.origins.base import Origin
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import ADAPTER, ClipSet, Source
from voxbuild.statistics.estimate import Estimate

from .manifest import Manifest
from .provenance import Entries, split_adapter
from .variant import Variant

TASK = "automatic-speech-recognition"
FAMILY = "transformer"
ARCHITECTURE = "Voxtral Realtime"
Json = dict[str, Any]


def make_bom(
    variant: Variant, manifest: Manifest, validation: Mapping[str, Any], ancestors: list[Json]
) -> Json:
    """The bill of materials of an artifact or a view; `ancestors`: what it was made from."""
    recipe = variant.recipe
    runtime = {name: version for name, version in validation["runtime"].items() if name != "device"}
    bom: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": _tools(manifest.tools, "made") + _tools(runtime, "validated")},
            "component": {
                **artifact(variant.repo, manifest),
                "bom-ref": "model",
                "description": recipe.summary,
                "licenses": [{"license": _license(variant.source)}],
                "pedigree": {"ancestors": ancestors, "notes": _how(recipe, manifest)},
                "modelCard": _model_card(variant.clip_sets.values(), validation),
                "properties": [
                    {"name": "voxbuild:parameters", "value": str(manifest.parameters)},
                    {"name": "voxbuild:bits-per-weight", "value": str(manifest.bits_per_weight)},
                ],
            },
        },
    }
    return bom | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bom, sort_keys=True)).urn}


def _license(source: Source) -> Json:
    """A licence by the Hub's id; one that the Hub does not know by its name, with its URL."""
    name, link = source.own_license or (source.license, "")
    return {"name": name, **({"url": link} if "://" in link else {})}


def upstream(source: Source, files: Entries) -> list[Json]:
    """A source as a component; and its adapter as another."""
    own, theirs = split_adapter(files)
    found = [_component(source.origin, source.model, own)]
    if source.adapter:
        found.append(_component(source.adapter.origin, f"{source.model}-{ADAPTER}", theirs))
    return found


def _component(origin: Origin, model: str, files: Entries) -> Json:
    about = origin.component(model)
    return {"type": "machine-learning-model", **about, "components": _files(files)}


def artifact(repo: str, manifest: Manifest) -> Json:
    """An artifact as a component."""
    owner, name = repo.split("/")
    return {
        "type": "machine-learning-model",
        "group": owner,
        "name": name,
        "version": manifest.weight_digest,
        "components": _files(manifest.weight_files),
    }


def _tools(versions: Mapping[str, str], what: str) -> list[Json]:
    return [
        {
            "type": "library",
            "bom-ref": f"{what}:{name}",
            "name": name,
            "version": version,
            "description": what,
        }
        for name, version in sorted(versions.items())
    ]


def _files(entries: Entries) -> list[Json]:
    return [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": entry.sha256}]}
        for name, entry in sorted(entries.items())
    ]


def _how(recipe: Recipe, manifest: Manifest) -> str:
    if manifest.view:
        return f"The same tensors as {manifest.view['dialect']} reads them."
    if recipe.quantize is None:
        return f"Converted to {recipe.dtype}."
    how = recipe.quantize
    groups = f"{how.bits_in_words} in {how.groups_in_words}"
    return f"Quantized: {how.mode}, {groups}; the rest in {recipe.dtype}."


def _model_card(clips: Iterable[ClipSet], validation: Mapping[str, Any]) -> Json:
    return {
        "modelParameters": {
            "task": TASK,
            "architectureFamily": FAMILY,
            "modelArchitecture": ARCHITECTURE,
            "datasets": [_dataset(clip_set) for clip_set in clips],
        },
        "quantitativeAnalysis": {"performanceMetrics": _metrics(validation)},
    }


def _dataset(clips: ClipSet) -> Json:
    """A clip set, for evaluation only."""
    about = f"For evaluation: {clips.summary} Licence {clips.license}; {clips.attribution}"
    where = {"contents": {"url": url}} if (url := clips.corpus.url) else {}
    return {
        "type": "dataset",
        "bom-ref": f"clips:{clips.name}",
        "name": clips.name,
        "description": about,
    } | where


def _metrics(validation: Mapping[str, Any]) -> list[Json]:
    """Error rates of each clip set in per cent; fidelity to the unquantized weights over all sets."""
    rates = [
        _metric(f"{rate.upper()} (%)", found[rate]) | {"slice": name}
        for name, found in validation["sets"].items()
        for rate in ("wer", "cer")
    ]
    near = validation["fidelity"].items()
    return rates + [_metric(name, value) for name, value in near if name != "positions"]


def _metric(name: str, stored: Any) -> Json:
    """A figure of validation.json, with its 95 % interval."""
    found = Estimate.of(stored)
    bounds = {"lowerBound": str(found.low), "upperBound": str(found.high)}
    return {"type": name, "value": str(found.value), "confidenceInterval": bounds}

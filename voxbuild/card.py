"""Model cards: Jinja templates filled with what was measured, nothing typed by hand."""

from pathlib import Path
from typing import Any

import jinja2
import yaml

from .errors import VoxbuildError
from .loaders import LOADERS, Loader
from .manifest import Manifest
from .modes import PLAIN
from .recipe import Book, Recipe, Source
from .report import markdown


def check_template(templates: Path, recipe: Recipe) -> None:
    """Raises VoxbuildError if the recipe's template is not there."""
    if not (templates / recipe.card).is_file():
        known = ", ".join(sorted(path.name for path in templates.glob("*.j2")))
        raise VoxbuildError(f"{recipe.name}.yaml: there is no card template {recipe.card}; known: {known}")


def render_card(
    templates: Path,
    source: Source,
    recipe: Recipe,
    book: Book,
    manifest: Manifest,
    validation: dict[str, Any],
    recipe_text: str,
    loader: Loader | None = None,
) -> str:
    """The README.md of a published artifact, or of its view for a loader.

    Raises VoxbuildError if the template is missing or wrong.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    repo = repo_name(source, recipe, loader)
    try:
        return environment.get_template(recipe.card).render(
            metadata=yaml.safe_dump(
                hub_metadata(source, recipe, book, validation, loader), sort_keys=False, allow_unicode=True
            ).strip(),
            source=source,
            recipe=recipe,
            manifest=manifest,
            validation=validation,
            recipe_text=recipe_text.strip(),
            repo=repo,
            loader=loader,
            usages={reader.name: reader.usage.format(repo=repo) for reader in _readers(recipe, loader)},
            original=repo_name(source, recipe),
            clips=[book.clips[name] for name in validation["sets"]],
            bits_table=_bits_table(recipe, manifest),
            wer_table=_wer_table(validation),
        )
    except (jinja2.TemplateError, TypeError) as error:
        raise VoxbuildError(f"{templates / recipe.card}: {error or type(error).__name__}") from error


def _readers(recipe: Recipe, loader: Loader | None) -> list[Loader]:
    """Who reads what is described: a view's loader, or those that read the artifact itself."""
    if loader:
        return [loader]
    return [LOADERS[name] for name in recipe.dialects if LOADERS[name].reads_the_artifact]


def repo_name(source: Source, recipe: Recipe, loader: Loader | None = None) -> str:
    """owner/name that the artifact is published under, or its view for a loader."""
    names = {"model": source.model, "recipe": recipe.name}
    repo = recipe.publish.repo.format(**names)
    return recipe.publish.view.format(repo=repo, dialect=loader.name, **names) if loader else repo


def hub_metadata(
    source: Source, recipe: Recipe, book: Book, validation: dict[str, Any], loader: Loader | None = None
) -> dict[str, Any]:
    """The card's front matter, in the Hub's terms; WER of each clip set becomes its model-index."""
    base = {"base_model": source.hub.repo} if source.hub else {}
    relation = {"base_model_relation": "quantized"} if source.hub and recipe.quantize else {}
    return {
        "library_name": loader.library if loader else "mlx",
        "pipeline_tag": "automatic-speech-recognition",
        "license": source.license,
        "language": list(source.languages),
        **base,
        **relation,
        "tags": [loader.library if loader else "mlx", "speech-to-text", "streaming", "voxtral", "voxrun"],
        "model-index": [
            {
                "name": repo_name(source, recipe, loader).split("/")[1],
                "results": [_result(name, book, rates) for name, rates in validation["sets"].items()],
            }
        ],
    }


def _result(name: str, book: Book, rates: dict[str, Any]) -> dict[str, Any]:
    clips = book.clips[name]
    return {
        "task": {"type": "automatic-speech-recognition"},
        "dataset": {"type": name, "name": f"{clips.summary} ({rates['clips']} clips)"},
        "metrics": [
            {"type": "wer", "value": rates["wer"]},
            {"type": "cer", "value": rates["cer"]},
        ],
    }


def _bits_table(recipe: Recipe, manifest: Manifest) -> str:
    weights = sum(e["size"] for n, e in manifest.files.items() if n.endswith(".safetensors"))
    quantize = recipe.quantize
    how = f"{quantize.mode}, {quantize.bits} bits, groups of {quantize.group_size}" if quantize else "none"
    searched = f", search: {quantize.search}" if quantize and quantize.search != PLAIN else ""
    rows = [
        ("quantization", how + searched),
        ("other tensors", recipe.dtype),
        ("bits per weight", f"{manifest.bits_per_weight:.3f}"),
        ("parameters", f"{manifest.parameters:,}"),
        ("size of the weights", f"{weights / 1e6:,.1f} MB"),
    ]
    if quantize and quantize.rules:
        rows.insert(1, ("different for", "; ".join(_rule(rule) for rule in quantize.rules)))
    return markdown(rows, ["", ""])


def _rule(rule: Any) -> str:
    if rule.skip:
        return f"`{rule.match}`: not quantized"
    settings = {"{} bits": rule.bits, "groups of {}": rule.group_size, "search: {}": rule.search}
    said = [words.format(value) for words, value in settings.items() if value is not None]
    return f"`{rule.match}`: {', '.join(said)}"


def _wer_table(validation: dict[str, Any]) -> str:
    rows = [
        (name, s["clips"], s["words"], f"{s['wer']:.2f}", f"{s['cer']:.2f}", f"{s['unquantized_wer']:.2f}")
        for name, s in validation["sets"].items()
    ]
    return markdown(rows, ["clip set", "clips", "words", "WER %", "CER %", "unquantized WER %"])

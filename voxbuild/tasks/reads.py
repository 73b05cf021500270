"""What each task reads of recipes/, as facts: name -> value. A task runs again if one of its facts changed.

So an edited comment or licence repeats nothing that takes long, and a moved folder nothing at all: files are
compared by their hashes. Names are for `doit explain`: `recipe 4bit: quantize.bits`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from voxbuild.artifact.variant import Variant
from voxbuild.recipes.origins.base import Corpus, Origin
from voxbuild.recipes.source import ClipSet, Source

Facts = dict[str, Any]
"""Name -> value, as JSON."""
READING = ("weights", "params", "tokenizer", "adapter")
"""The keys of a source that say how its files are read."""


def for_fetching(source: Source) -> Facts:
    """The files to have, and where they are."""
    places = {name for name, value in vars(source).items() if isinstance(value, Origin)}
    stored = source.model_dump(mode="json", include=places | {"files", *READING})
    return _named(f"source {source.name}", stored)


def for_planning(variant: Variant) -> Facts:
    """What determines the weights, what must be able to read them, and the card's template."""
    keys = ("dtype", "quantize", "shards", "calibrate", "dialects", "card")
    return _of(variant, f"recipe {variant.recipe.name}", keys) | _reading(variant.source)


def for_unquantizing(source: Source) -> Facts:
    """What determines the unquantized model, except the source's files."""
    return _reading(source)


def for_measuring(variant: Variant) -> Facts:
    """How matrices are quantized to measure what that costs; the budget changes nothing there."""
    how = variant.recipe.quantize
    stored = how.model_dump(mode="json", include={"mode", "search", "group_size"}) if how else {}
    return _named("measured", stored | {"dtype": variant.recipe.dtype})


def for_listening(source: Source, clips: ClipSet, versions: Mapping[str, str]) -> Facts:
    """What determines what a source hears in a clip set, except the files of both."""
    return _reading(source) | _corpus(clips) | dict(versions)


def for_validating(variant: Variant, versions: Mapping[str, str]) -> Facts:
    """The clip sets, the gates, and how the source is read, to which the artifact is compared."""
    gates = variant.recipe.validation.gates.stricter(variant.source.gates)
    facts: Facts = {"clip sets": list(variant.clip_sets), **versions}
    facts |= _named("gates", gates.model_dump(exclude_none=True))
    for clips in variant.clip_sets.values():
        facts |= _corpus(clips) | {f"clips {clips.name}: normaliser": clips.normaliser.name}
    return facts | _reading(variant.source)


def for_the_bom(variant: Variant) -> Facts:
    """What the bill of materials says about the artifact, its source and its clip sets."""
    source = variant.source
    facts: Facts = {"repository": variant.repo} | _reading(source)
    facts |= _named(f"source {source.name}", source.origin.component(source.model))
    facts |= _of(variant, f"recipe {variant.recipe.name}", ("summary", "dtype", "quantize"))
    facts |= _of(variant, f"source {source.name}", ("model", "license", "license_name", "license_link"))
    for name, clips in variant.clip_sets.items():
        facts |= _of(variant, f"clips {name}", ("summary", "license", "attribution"))
        facts[f"clips {name}: URL"] = clips.corpus.url
    return facts


def for_the_card(variant: Variant) -> Facts:
    """All that a template may show; the recipe's text is a file that it reads."""
    return _flat(variant.book.contents(variant.source, variant.recipe))


def for_documents(variant: Variant) -> Facts:
    """All that the digest in manifest and provenance covers, and which keys the recipe gives."""
    written = variant.recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    facts = _flat(variant.book.contents(variant.source, variant.recipe))
    return facts | {f"recipe {variant.recipe.name}: keys": sorted(_named("", written))}


def _of(variant: Variant, section: str, keys: Collection[str]) -> Facts:
    """These keys of a section of the variant's contents."""
    stored = variant.book.contents(variant.source, variant.recipe)[section]
    return _named(section, {key: stored[key] for key in keys})


def _reading(source: Source) -> Facts:
    """Which files are read and as what; on the Hub, of which commit."""
    stored = source.model_dump(mode="json", include=set(READING), exclude={"adapter": {"path"}})
    return _named(f"source {source.name}", stored | source.origin.identity)


def _corpus(clips: ClipSet) -> Facts:
    """The recordings of a pinned corpus; those in a folder are compared by their hashes."""
    if clips.corpus.pinned() is None:
        return {}
    corpus = {name for name, value in vars(clips).items() if isinstance(value, Corpus)}
    return _named(f"clips {clips.name}", clips.model_dump(mode="json", include=corpus))


def _flat(sections: Mapping[str, Any]) -> Facts:
    return {
        name: value for section, keys in sections.items() for name, value in _named(section, keys).items()
    }


def _named(section: str, keys: Mapping[str, Any]) -> Facts:
    """The values in a section, each under the path of its key."""
    return {f"{section}: {path}": value for path, value in _paths(keys)}


def _paths(keys: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in keys.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{path}", leaf) for path, leaf in _paths(value))
        else:
            yield key, value

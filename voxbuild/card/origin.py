"""Where a card's model comes from: the checkpoint, its base model, a merged adapter, the licence."""

from typing import NamedTuple

from voxbuild.artifact.manifest import Manifest
from voxbuild.recipes.origins.hub import HUB, HubFiles
from voxbuild.recipes.source import ADAPTER, Source
from voxbuild.tensors.adapter import ADAPTER_FILES

WEIGHTS = f"{ADAPTER}/{ADAPTER_FILES[1]}"
"""The adapter's tensors, among a manifest's source files."""


class Base(NamedTuple):
    """A base model on the Hub, and the Hub's word for the relation to it, if one fits."""

    repo: str
    relation: str | None


def base_of(source: Source, quantized: bool) -> Base | None:
    """The base model in the front matter.

    A checkpoint on the Hub is itself the base, of which the artifact is a quantization; unless an adapter was
    merged into it. Of a local checkpoint the base is what it was fine-tuned from.
    """
    repo = source.origin.base_model
    if repo and not source.adapter:
        return Base(repo, "quantized" if quantized else None)
    base = repo or source.base_model
    return Base(base, "finetune") if base else None


def converted_from(source: Source) -> str:
    """The checkpoint and its base model, as Markdown. Never a path on this disk.

    With an adapter, the source's name is that of both together.
    """
    if source.hub:
        text = f"{_link(source.hub.repo)} at revision `{source.hub.revision}`"
    else:
        text = "a local checkpoint" if source.adapter else f"the local checkpoint `{source.name}`"
    based = source.base_model and source.base_model != source.origin.base_model
    return f"{text}, a fine-tune of {_link(str(source.base_model))}," if based else text


def merged(source: Source, manifest: Manifest) -> str | None:
    """The adapter that was merged into the weights, as Markdown."""
    if source.adapter is None:
        return None
    origin, entry = source.adapter.origin, manifest.source_files.get(WEIGHTS)
    if isinstance(origin, HubFiles):
        which = f"{_link(origin.repo)} at revision `{origin.revision}`"
    else:
        which = "a local one"
    return f"{which}, sha256 `{entry.sha256}`" if entry else which


def licence(source: Source) -> str:
    """The licence, as Markdown."""
    if source.own_license is None:
        return source.license
    name, link = source.own_license
    return f"[{name}]({link})" if "://" in link else f"{name} (`{link}`)"


def _link(repo: str) -> str:
    return f"[{repo}]({HUB}/{repo})"

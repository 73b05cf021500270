"""START HERE: a source from the place that source= and adapter= name, without a YAML file.

A reference (a known source, a folder, a repository) -> a place (its files) -> what it tells -> a Source.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voxbuild.errors import SourceError, UnreachableError
from voxbuild.recipes.origins.hub import HubFiles
from voxbuild.recipes.source import Source
from voxbuild.sources.header import read_source
from voxbuild.workspace import Workspace
from voxrun.messages import sentence

from .files import ADAPTER_CONFIG, QUANTIZED, check_adapter, checkpoint_files, is_adapter, unread_weights
from .kept import TRAINED_OVER, Found, keep, kept_as, kept_for
from .place import ABSOLUTE, COMMIT, Place, folder_place, hub_place
from .reference import Reference, refer
from .told import Told, read_told
from .values import VARIABLES, settled, valid_name, validated

MAIN = "main"


def find(
    work: Workspace,
    source: Reference,
    adapter: Reference | None,
    given: Mapping[str, Any],
    sources: Mapping[str, Source],
    project: Mapping[str, Source],
) -> Found:
    """Find a source and keep it in out/.sources/.

    `given` has values from the command line for VARIABLES and `name`. `sources` are all known sources,
    `project` those of recipes/sources/. Raises SourceError, CheckpointError; voxrun's ConfigError.
    """
    key = adapter.key if adapter else None
    before = kept_for(work, source.key, key, given.get("name"))
    places = _Places(before)
    try:
        found = before if before and places.are_pinned(source, adapter) else None
        found = found or _described(work, places, source, adapter, sources)
    except UnreachableError:
        if before is None:
            raise
        name, commit = before.source.name, before.source.origin.identity.get("revision", "its folder")
        print(
            f"{source.key}: the Hub cannot be reached; the source {name} stays at {commit}", file=sys.stderr
        )
        found = before
    before = before or _moved(work, given.get("name", found.source.name), source.key)
    found = replace(found, asked=source.key, adapter=key, choices=before.choices if before else {})
    found = settled(found, given, before)
    keep(work, found, project)
    return found


def _moved(work: Workspace, name: str, key: str) -> Found | None:
    """The source of this name whose folder is gone: it was moved, and stays what was said of it."""
    before = kept_as(work, name)
    if before is None or not before.place_is_gone:
        return None
    print(f"the source {name} was in {before.asked}, which is gone; from now on it is {key}", file=sys.stderr)
    return before


def overridden(
    work: Workspace, before: Found, given: Mapping[str, Any], project: Mapping[str, Source]
) -> Found:
    """A found source with these values from the command line, and keep it. Raises SourceError."""
    found = settled(before, given, None)
    keep(work, found, project)
    return found


class _Places:
    """Places as they are now; a branch that has moved since it was first followed is refused."""

    def __init__(self, before: Found | None) -> None:
        adapter = before.source.adapter.origin if before and before.source.adapter else None
        origins = [before.source.origin if before else None, adapter]
        self._pins = {o.repo: o.revision for o in origins if isinstance(o, HubFiles)}

    def are_pinned(self, *references: Reference | None) -> bool:
        """Whether these name the commits at which the source was found: nothing can have changed."""
        named = [each for each in references if each]
        return all(each.is_pinned and self._pins.get(each.key) == each.revision for each in named)

    def at(self, reference: Reference, variable: str) -> Place:
        """The place. Raises SourceError; UnreachableError for a repository, if the Hub cannot be asked."""
        if reference.kind == "folder":
            return folder_place(reference.key)
        branch, pin = reference.revision or MAIN, self._pins.get(reference.key)
        place = hub_place(reference.key, branch)
        now = place.origin.identity["revision"]
        if pin not in (None, now) and not reference.is_pinned:
            raise SourceError(
                f"{reference.key}: {branch} is at {now} now, and was at {pin} when it was found; go on with"
                f" {variable}={reference.key}@{now}, or stay with {variable}={reference.key}@{pin}"
            )
        return place

    def base_of(self, adapter: Place, sources: Mapping[str, Source]) -> Source | Place:
        """The model to which an adapter belongs: a project's source, a folder or a repository."""
        config = adapter.json(ADAPTER_CONFIG)
        base, revision = config.get("base_model_name_or_path"), config.get("revision")
        if not isinstance(base, str) or not base:
            raise SourceError(
                f"{adapter.key}/{ADAPTER_CONFIG}: it does not name its model; give it:"
                f" source=MODEL adapter={adapter.key}"
            )
        other = COMMIT.fullmatch(str(revision))  # a commit, which must be the source's
        for source in sources.values():
            same = not other or source.origin.identity.get("revision") == revision
            if same and source.origin.base_model == base and source.adapter is None:
                return source
        reference = refer(base, {}, "model")
        pin = self._pins.get(reference.key)
        try:
            return self.at(replace(reference, revision=pin or revision), "source")
        except UnreachableError:
            raise
        except SourceError as error:
            raise SourceError(
                f"{error}; {adapter.key}/{ADAPTER_CONFIG} names it; to give another:"
                f" source=MODEL adapter={adapter.key}"
            ) from error


def _described(
    work: Workspace,
    places: _Places,
    source: Reference,
    adapter: Reference | None,
    sources: Mapping[str, Source],
) -> Found:
    """The source by what its place tells, without the command line's values."""
    told = Told()
    added = places.at(adapter, "adapter") if adapter else None
    base = sources[source.key] if source.kind == "source" else places.at(source, "source")
    title, name_of = _title(base), _named_by(base)
    if isinstance(base, Place) and added is None and is_adapter(base):
        added = base
        base = places.base_of(added, sources)
    elif added:
        title, name_of = f"{title}-{added.title}", f"{name_of} and the adapter's"
    if added:
        check_adapter(added)
        own = base.base_model if isinstance(base, Source) else None  # told before what the adapter says
        told.tell("the adapter's model", base_model=base.origin.base_model or own)
        read_told(added, told)
        if named := added.json(ADAPTER_CONFIG).get("base_model_name_or_path"):
            told.origins["adapter"] = sentence(f"{TRAINED_OVER}{named}")
    values = _of_source(work, base, told) if isinstance(base, Source) else _of_place(base, told)
    if added:
        if values.pop("adapter", None):
            raise SourceError(f"{source.key}: it has an adapter already; only one can be merged")
        values["adapter"] = _place_of(added)
        values["private"] = bool(values.get("private")) or added.private
    name = valid_name(title)
    told.origins["name"] = name_of
    return Found(
        validated(source.key, values | {"name": name, "model": name}, told),
        source.key,
        origins=told.origins,
        faults=tuple(told.faults),
    )


def _title(base: Source | Place) -> str:
    return base.name if isinstance(base, Source) else base.title


def _named_by(base: Source | Place) -> str:
    """Where a name comes from."""
    if isinstance(base, Source):
        return "the source's name"
    return f"the {'folder' if base.origin.folder(ABSOLUTE) else 'repository'}'s name"


def _of_source(work: Workspace, base: Source, told: Told) -> dict[str, Any]:
    """The values of a known source, whose paths become absolute."""
    values = base.model_dump(mode="json", exclude_defaults=True)
    if folder := base.origin.folder(work.recipes / "sources"):
        values["path"] = str(folder)
    facts = {name: values.pop(name) for name in VARIABLES if name in values}
    told.tell(f"the source {base.name}", **facts)
    return values


def _of_place(place: Place, told: Told) -> dict[str, Any]:
    """The values of a checkpoint's place. Raises SourceError if it is none, or quantized."""
    names = checkpoint_files(place)
    told.faults.extend(unread_weights(place, names.weights))
    read_told(place, told)
    weights: Any = names.weights[0] if len(names.weights) == 1 else list(names.weights)
    files = dict.fromkeys((*names.weights, names.params, names.tokenizer))
    values = {
        **_place_of(place),
        "files": [place.file(name) for name in files],
        "weights": weights,
        "params": names.params,
        "tokenizer": names.tokenizer,
        "private": place.private,
    }
    _refuse_quantized(place, names.tensors or _tensors(values))
    return values


def _tensors(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the tensors in the (first) file of the weights, by its header."""
    first = values["weights"] if isinstance(values["weights"], str) else values["weights"][0]
    about = {"name": "x", "model": "x", "summary": "", "license": "unknown", "languages": []}
    source = Source.model_validate_json(json.dumps({**values, **about, "weights": first}))
    return tuple(tensor.name for tensor in read_source(source, ABSOLUTE).tensors)


def _refuse_quantized(place: Place, tensors: tuple[str, ...]) -> None:
    scales = next((name for name in tensors if name.endswith((".scales", ".weight_scale_inv"))), None)
    if scales:
        raise SourceError(f"{place.key}: it holds {scales}, so it is {QUANTIZED}")


def _place_of(place: Place) -> dict[str, Any]:
    """`path:` or `hub:` of a place."""
    if isinstance(place.origin, HubFiles):
        return {"hub": place.origin.identity}
    return {"path": place.origin.root}

"""provenance.json: from what, by what and how an artifact's files were made. Pure; `attest` writes it.

An in-toto Statement v1 with a SLSA provenance v1 predicate (https://slsa.dev/spec/v1.0/provenance);
docs/trust.md explains its fields. SLSA's optional metadata (invocation, start, end) is left out: equal inputs
give equal bytes.
"""

from collections.abc import Mapping
from typing import Any

from voxbuild.recipes.origins.base import Origin
from voxbuild.recipes.source import ADAPTER, ClipSet, origin_of
from voxrun.trust.manifest import Entry
from voxrun.trust.provenance import PREDICATE, PROVENANCE, STATEMENT

from .manifest import MANIFEST, Manifest
from .variant import Variant

BUILD = "urn:voxbuild:build:1"
"""Build type: an artifact from a source, by a recipe."""
VIEW = "urn:voxbuild:view:1"
"""Build type: a view from an artifact."""
BUILDER = "urn:voxbuild:builder:1"
"""voxbuild on any machine; only a signature tells whose."""
CLIPS = "clips/"
"""Prefix of the names of recordings among the dependencies."""
Entries = Mapping[str, Entry]
"""Path -> size and sha256."""


def make_provenance(
    variant: Variant,
    manifest: Manifest,
    subjects: Entries,
    dependencies: list[dict[str, Any]],
    runtime: Mapping[str, str],
) -> dict[str, Any]:
    """The statement about `subjects`, all other files.

    `dependencies` are in-toto ResourceDescriptors, `runtime` the versions used in validation.
    """
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": _sha256(entry)} for name, entry in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": VIEW if manifest.view else BUILD,
                "externalParameters": {
                    "recipe": variant.recipe.model_dump(mode="json", by_alias=True, exclude_unset=True),
                    "source": variant.source.name,
                },
                "internalParameters": {
                    "recipe": {**manifest.recipe, "digest": variant.digest},
                    "device": manifest.device,
                    "runtime": {name: value for name, value in runtime.items() if name != "device"},
                    "weights": manifest.weight_digest,
                    **({"view": manifest.view} if manifest.view else {}),
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": manifest.tools | {"voxrun": runtime["voxrun"]}}
            },
        },
    }


def contradictions(manifest: Manifest, statement: Mapping[str, Any]) -> list[str]:
    """How a manifest and a provenance.json, both untrusted, differ, a phrase each."""
    definition = _at(statement, "predicate", "buildDefinition")
    dependencies = _at(definition, "resolvedDependencies")
    versions = _at(statement, "predicate", "runDetails", "builder", "version")
    materials = [
        each
        for each in (dependencies if isinstance(dependencies, list) else [])
        if not str(_at(each, "name")).startswith(CLIPS)
    ]
    stated = {
        "kind of build": _at(definition, "buildType"),
        "variant": _at(definition, "externalParameters", "recipe", "name"),
        "source": (_at(definition, "externalParameters", "source"), materials),
        "tools": isinstance(versions, dict) and {n: v for n, v in versions.items() if n != "voxrun"},
        **{name: _at(definition, "internalParameters", name) for name in ("recipe", "device", "view")},
        "weights": _at(definition, "internalParameters", "weights"),
    }
    expected = {
        "kind of build": VIEW if manifest.view else BUILD,
        "variant": manifest.variant,
        "source": (manifest.source.get("name"), _materials(manifest) or materials),
        "tools": manifest.tools,
        "recipe": manifest.recipe,
        "device": manifest.device,
        "view": manifest.view,
        "weights": manifest.weight_digest,
    }
    differing = [name for name in stated if expected[name] != stated[name]]
    return [f"{MANIFEST} and {PROVENANCE} differ in: {name}" for name in differing]


def _at(value: Any, *keys: str) -> Any:
    """The value at this path of keys; None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _materials(manifest: Manifest) -> list[Any] | None:
    """The dependencies that an artifact must have; None for a view, whose manifest does not list them."""
    if manifest.view:
        return None
    try:
        return upstream_files(manifest)
    except (KeyError, TypeError, AttributeError):  # the manifest is untrusted
        return ["none"]


def upstream_files(manifest: Manifest) -> list[dict[str, Any]]:
    """An artifact's source as dependencies: its repository at a commit, and each file; and its adapter's."""
    source = manifest.source
    own, adapters = split_adapter(manifest.source_files)
    name = source.get("name")
    found = _dependencies(name, origin_of(source), own)
    if adapters:
        found += _dependencies(f"{name}/{ADAPTER}", origin_of(source[ADAPTER]), adapters)
    return found


def split_adapter(files: Entries) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """A source's own files, and its adapter's by their own names."""
    start = f"{ADAPTER}/"
    theirs = {name[len(start) :]: entry for name, entry in files.items() if name.startswith(start)}
    return {name: entry for name, entry in files.items() if not name.startswith(start)}, theirs


def _dependencies(name: Any, origin: Origin | None, files: Entries) -> list[dict[str, Any]]:
    repository = origin and origin.repository()
    return ([{"name": name, **repository}] if repository else []) + [
        {"name": f"{name}/{file}", **_uri(origin, file), "digest": _sha256(entry)}
        for file, entry in sorted(files.items())
    ]


def artifact_files(artifact: str, entries: Entries) -> list[dict[str, Any]]:
    """An artifact as the dependency of its view."""
    return [
        {"name": f"{artifact}/{name}", "digest": _sha256(entry)} for name, entry in sorted(entries.items())
    ]


def clip_dependencies(clips: ClipSet, hashes: Mapping[str, str]) -> list[dict[str, Any]]:
    """A clip set as dependencies: its corpus at a commit, or the files in `hashes`: name -> sha256."""
    if pinned := clips.corpus.pinned():
        return [{"name": f"{CLIPS}{clips.name}", **pinned}]
    return [
        {"name": f"{CLIPS}{clips.name}/{name}", "digest": {"sha256": sha256}}
        for name, sha256 in sorted(hashes.items())
    ]


def _uri(origin: Origin | None, name: str) -> dict[str, str]:
    uri = origin.uri(name) if origin else None
    return {"uri": uri} if uri else {}


def _sha256(entry: Entry) -> dict[str, str]:
    return {"sha256": entry.sha256}

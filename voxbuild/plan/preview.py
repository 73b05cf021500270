"""The output of `doit plan`: a plan, a summary of its tensors, and what the build will need."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.loaders import LOADERS, views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.header import Header, read_source
from voxbuild.tensors.module_kinds import by_kind
from voxbuild.tensors.writer import header_bytes
from voxbuild.workspace import Workspace

from .allocation import MakePlan, allocated
from .compatibility import check_dialects, dialect_lines, first_fault
from .costs import measurement_of
from .finding import finding, finding_text, found_source
from .layout import layout, layout_text
from .planner import Plan, TensorPlan, make_plan
from .requirements import estimate, fits, free_disk, time_in_words
from .shares import shares, shares_table, unmeasured, unmeasured_text
from .streaming import is_streamed
from .unquantized import unquantized, unquantized_table
from .ways import DISK

Preview = dict[str, Any]


def preview(
    source: Source,
    plan: Plan,
    header: Header,
    free: int,
    cache_free: int | None,
    views: int = 0,
    streamed: bool = False,
) -> Preview:
    """The whole preview as JSON; `free` and `cache_free`: free bytes of out/'s and the Hub cache's disks.

    `cache_free` is None if it is the same disk. `streamed`: the weights are not kept on it.

    recipe, source     names
    repo, revision     on the Hub; null for a local source
    downloaded         whether the source's weights are local
    source_bytes       size of the source's weights
    tensors_count, parameters, bytes, bits_per_weight   of all weights; bytes of data, without headers
    shards             file, bytes (of the whole file), tensors (count), in order
    modules            kind, formats (format -> count of tensors), parameters, bytes, bits_per_weight
    estimate           peak_memory_bytes, disk_bytes (views too), download_bytes, streamed (the download is
                       not kept), seconds (of converting)
    disk               free_bytes (for out/), enough (for the output and the download)
    loaders            name -> null, or why it cannot read the artifact (added by `show`)
    layout             names, left_out, merged, unchecked: see `layout.layout` (added by `show`)
    found              facts, missing, faults of a found source, else null (added by `show`)
    shares, quantize   only with a budget: who gets what, and the settings that result (added by `show`)
    unquantized        kind, dtype, why, tensors (count), parameters; only with `quantize:` (added by `show`)
    tensors            name, source, transpose, head_rows, merged, dtype, quantization (mode, bits,
                       group_size; or null), shape, bytes, shard
    """
    needed = estimate(plan, {tensor.name: tensor for tensor in header.tensors}, views, streamed=streamed)
    download = 0 if header.here else header.nbytes
    enough = fits(needed.disk, 0 if streamed else download, free, cache_free)
    return {
        "recipe": plan.recipe,
        "source": source.name,
        "repo": source.origin.identity.get("repo"),
        "revision": source.origin.identity.get("revision"),
        "downloaded": header.here,
        "source_bytes": header.nbytes,
        "tensors_count": len(plan.tensors),
        **_sums(plan),
        "shards": [_shard(name, tensors) for name, tensors in plan.shards.items()],
        "modules": [_module(plan, k, ts) for k, ts in by_kind(plan.tensors, lambda t: t.name).items()],
        "estimate": {
            "peak_memory_bytes": needed.memory,
            "disk_bytes": needed.disk,
            "download_bytes": download,
            "streamed": streamed,
            "seconds": round(needed.seconds, 1),
        },
        "disk": {"free_bytes": free, "enough": enough},
        "tensors": [_tensor(t, name) for name, tensors in plan.shards.items() for t in tensors],
    }


def _sums(plan: Plan) -> Preview:
    return {
        "parameters": plan.parameters,
        "bytes": plan.nbytes,
        "bits_per_weight": round(plan.bits_per_weight, 4),
    }


def _shard(name: str, tensors: Sequence[TensorPlan]) -> Preview:
    outputs = [output for tensor in tensors for output in tensor.outputs]
    size = len(header_bytes(outputs)) + sum(output.nbytes for output in outputs)
    return {"file": name, "bytes": size, "tensors": len(outputs)}


def _module(plan: Plan, kind: str, tensors: Sequence[TensorPlan]) -> Preview:
    formats = Counter(format_of(tensor) for tensor in tensors)
    return {"kind": kind, "formats": dict(formats), **_sums(Plan(plan.recipe, tuple(tensors), {}))}


def _tensor(tensor: TensorPlan, shard: str) -> Preview:
    return {
        "name": tensor.name,
        "source": tensor.source,
        "transpose": tensor.transpose,
        "head_rows": tensor.head_rows,
        "merged": tensor.merged,
        "dtype": tensor.dtype,
        "quantization": asdict(tensor.quantization) if tensor.quantization else None,
        "shape": list(tensor.shape),
        "bytes": tensor.nbytes,
        "shard": shard,
    }


def format_of(tensor: TensorPlan) -> str:
    """A tensor's stored format, for people."""
    return tensor.quantization.in_words if tensor.quantization else tensor.dtype


def as_text(shown: Preview, plan: Plan | None) -> str:
    """A preview as tables; with every tensor if the plan is given."""
    blocks = [_tensors_table(plan)] if plan else []
    shards = [(row["file"], row["tensors"], f"{row['bytes']:,}") for row in shown["shards"]]
    blocks += [_modules_table(shown)]
    if plain := shown.get("unquantized"):
        blocks += [unquantized_table(plain)]
    blocks += [markdown(shards, ["file", "tensors", "bytes"]), _needs(shown)]
    return "\n\n".join(blocks)


def _tensors_table(plan: Plan) -> str:
    rows = [
        (
            tensor.name,
            tensor.source,
            _transform(tensor),
            format_of(tensor),
            "x".join(map(str, tensor.shape)),
            f"{tensor.nbytes:,}",
            tensor.shard + 1,
        )
        for tensor in plan.tensors
    ]
    return markdown(rows, ["tensor", "source", "transform", "format", "shape", "bytes", "shard"])


def _transform(tensor: TensorPlan) -> str:
    """What is done to a tensor before it is cast."""
    done = {
        "swap 1,2": tensor.transpose,
        f"heads of {tensor.head_rows}": tensor.head_rows,
        "merge": tensor.merged,
    }
    return ", ".join(name for name, does in done.items() if does)


def _modules_table(shown: Preview) -> str:
    rows = [
        (
            row["kind"],
            ", ".join(f"{count} {name}" for name, count in row["formats"].items()),
            f"{row['parameters']:,}",
            f"{row['bytes']:,}",
            f"{row['bits_per_weight']:.3f}",
        )
        for row in shown["modules"]
    ]
    return markdown(rows, ["modules", "tensors", "parameters", "bytes", "bits per weight"])


def _needs(shown: Preview) -> str:
    needed, disk = shown["estimate"], shown["disk"]
    origin = f"{shown['repo']} at {shown['revision'][:12]}" if shown["repo"] else shown["source"]
    makes = (
        f"{shown['tensors_count']} tensors",
        f"{shown['parameters']:,} parameters",
        f"{_size(shown['bytes'])} in {len(shown['shards'])} shard(s)",
        f"{shown['bits_per_weight']:.3f} bits per weight",
    )
    download = "download that is not kept" if needed["streamed"] else "download"
    takes = (
        *([f"{_size(needed['download_bytes'])} of {download}"] if needed["download_bytes"] else []),
        f"{_size(needed['peak_memory_bytes'])} of memory",
        f"{_size(needed['disk_bytes'])} of disk",
        f"{time_in_words(needed['seconds'])} to convert",
    )
    room = f"{_size(disk['free_bytes'])} are free" + ("" if disk["enough"] else ": NOT ENOUGH")
    return f"{shown['recipe']} from {origin}: {', '.join(makes)}\nit takes about {', '.join(takes)}; {room}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def show(
    builds: Sequence[tuple[Recipe, Source]],
    work: Workspace,
    form: str,
    tensors: bool,
    given: Mapping[str, str] = MappingProxyType({}),
    fetch: str = DISK,
) -> str:
    """The previews of some builds: as a `table` (with every tensor if `tensors`), or as a `json` list.

    `given` are the variables on the command line; `fetch` is the way to fetch sources.

    Raises SourceError, CheckpointError, PlanError; voxrun's ConfigError.
    """
    sources = {source.name: source for _, source in builds}
    base = work.recipes / "sources"
    header = cache(lambda name: read_source(sources[name], base))
    streamed = {
        name: is_streamed(
            source, base, [r for r, s in builds if s.name == name], fetch, work.out, partial(header, name)
        )
        for name, source in sources.items()
    }
    shown, texts = [], []
    for recipe, source in builds:
        found = header(source.name)
        files = layout(source, found, base)
        make = _planner(source, found)
        measurement = work.sensitivity_file(source.name, measurement_of(recipe)) if recipe.budget else None
        if measurement and not measurement.is_file():
            shown.append(unmeasured(recipe, source.name, make))
            texts.append(unmeasured_text(shown[-1]))
            continue
        own, recipe = recipe, allocated(recipe, make, measurement) if measurement else recipe
        plan = make(recipe)
        check_dialects(recipe, plan)
        views = len(views_of(own.dialects))
        seen = preview(source, plan, found, *free_disk(work.out), views, streamed[source.name])
        faults = {name: first_fault(loader, recipe, plan) for name, loader in LOADERS.items()}
        how = found_source(work, source)
        told = finding(how, recipe, found, given) if how else None
        plain = unquantized(recipe, plan)
        more: Preview = {"loaders": faults, "found": told, "unquantized": plain, "layout": files}
        if own.budget:
            section = recipe.quantize.model_dump(mode="json") if recipe.quantize else None
            more |= {"shares": shares(plan), "quantize": section}
        shown.append(seen | more)
        blocks = [finding_text(told)] if told else []
        if own.budget:
            rules = len(recipe.quantize.rules) if recipe.quantize else 0
            blocks.append(shares_table(shown[-1]["shares"], rules))
        blocks += [as_text(shown[-1], plan if tensors else None)]
        blocks.append(f"{dialect_lines(recipe, plan)}\n{layout_text(files)}")
        texts.append("\n\n".join(blocks))
    return json.dumps(shown, indent=2) if form == "json" else "\n\n\n".join(texts)


def _planner(source: Source, header: Header) -> MakePlan:
    return lambda recipe: make_plan(recipe, header.tensors, header.params, header.merged, source.params)

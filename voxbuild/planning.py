"""Planning what was chosen on the command line, without building anything."""

import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from voxbuild.recipes.loaders import views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.header import Header, read_source

from .compatibility import check_dialects, dialect_lines, loader_faults
from .plan import make_plan
from .preview import as_text, preview
from .workspace import Workspace


def show(builds: Sequence[tuple[Recipe, Source]], work: Workspace, form: str, tensors: bool) -> str:
    """A report for each, as a `table` (every tensor only if `tensors`), or as a `json` list of previews.

    Raises SourceError, CheckpointError, PlanError; voxrun's ConfigError.
    """
    sources = {source.name: source for _, source in builds}
    header = cache(lambda name: read_source(sources[name], work.recipes / "sources"))
    shown, texts = [], []
    for recipe, source in builds:
        found = header(source.name)
        plan = make_plan(recipe, found.tensors, found.params)
        check_dialects(recipe, plan)
        seen = preview(source, plan, found, *_free(work.out, found), len(views_of(recipe.dialects)))
        shown.append(seen | {"loaders": loader_faults(recipe, plan)})
        texts.append(f"{as_text(shown[-1], plan if tensors else None)}\n\n{dialect_lines(recipe, plan)}")
    return json.dumps(shown, indent=2) if form == "json" else "\n\n\n".join(texts)


def _free(out: Path, header: Header) -> tuple[int, int | None]:
    """Free bytes for what is built, and on the Hub cache's disk; None: it is the same, or not needed."""
    place = _there(out)
    free = shutil.disk_usage(place).free
    if header.here:
        return free, None
    from huggingface_hub.constants import HF_HUB_CACHE

    hub_cache = _there(Path(HF_HUB_CACHE))
    return free, None if hub_cache.stat().st_dev == place.stat().st_dev else shutil.disk_usage(hub_cache).free


def _there(folder: Path) -> Path:
    """The folder, or the next above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder

"""`doit evaluate`: hears a grid, and writes evaluation.json and the report page."""

import base64
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voxbuild.artifact.heard_once import check_heard_once
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.console import progress_bar
from voxbuild.errors import RecipeError
from voxbuild.files import to_json, written_whole
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import ClipSet
from voxbuild.sources.clips import read_clips
from voxrun.parallel import one_blas_thread

from .evaluation import Evaluation
from .forms import as_csv, short_table
from .grid import Grid, delays_of, hear
from .jobs import UNQUANTIZED
from .models import artifact_model, default_delay, source_model
from .page.render import render
from .records import Records, environment
from .runners import runner_for

AUDIO = {
    **{".flac": "audio/flac", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"},
    **{".opus": "audio/ogg", ".m4a": "audio/mp4", ".webm": "audio/webm", ".aac": "audio/aac"},
}
"""Media types of recordings in a page."""


def evaluate(
    variants: Sequence[Variant], delays: Sequence[float], form: str, embed_audio: bool, scheduler: str | None
) -> str:
    """Hear what is not on record, write both files, and return the figures as `table`, `json` or `csv`.

    The variants are of one source. Raises VoxbuildError, VoxrunError, OSError.
    """
    work, source = variants[0].work, variants[0].source
    grid = _grid(variants, delays)
    with progress_bar(f"evaluate {source.name}", len(grid), "clip") as bar:
        heard = hear(grid, Records(work.records(source.name)), runner_for(scheduler), lambda: bar.update())
    with one_blas_thread():  # small products: threads would only wait for each other
        content = Evaluation(grid, heard, source, _sizes(variants), environment()).as_json()
    files = work.evaluation_file(source.name), work.evaluation_page(source.name)
    _write(content, *files, _audio(grid.everything, files[1], work.root, embed_audio))
    if form == "table":
        return f"{short_table(content)}\n\n{' and '.join(os.path.relpath(path, work.root) for path in files)}"
    return as_csv(content) if form == "csv" else to_json(content).rstrip("\n")


def _grid(variants: Sequence[Variant], delays: Sequence[float]) -> Grid:
    work, source = variants[0].work, variants[0].source
    for variant in variants:
        if not variant.is_built:
            raise RecipeError(f"{variant.folder}: not built; run `{variant.build_command}` first")
        if variant.recipe.name == UNQUANTIZED:
            raise RecipeError(f"the recipe {UNQUANTIZED} has the source's name here; give it another")
        check_heard_once(variant)
    sets: dict[str, ClipSet] = {}
    for variant in variants:
        sets |= variant.clip_sets
    model = source_model(work, source)
    return Grid(
        model,
        tuple(map(artifact_model, variants)),
        delays_of(model, delays),
        default_delay(model),
        sets,
        {name: read_clips(clip_set, work.clips) for name, clip_set in sets.items()},
    )


def _sizes(variants: Sequence[Variant]) -> dict[str, dict[str, float]]:
    """Bytes of the weights, and bits per weight; the source's in its own files."""
    manifests = {variant.recipe.name: Manifest.load(variant.folder) for variant in variants}
    source, first = variants[0].source, next(iter(manifests.values()))
    files = variants[0].fetched.files
    stored = sum(files[name].size for name in source.weight_files)
    return {
        UNQUANTIZED: {"bytes": stored, "bits_per_weight": round(8 * stored / first.parameters, 3)},
        **{n: {"bytes": m.weight_bytes, "bits_per_weight": m.bits_per_weight} for n, m in manifests.items()},
    }


def _write(content: Mapping[str, Any], file: Path, page: Path, audio: Mapping[str, str]) -> None:
    """Write both files, or none of them if one cannot be."""
    texts = {file: to_json(content), page: render(content, audio)}
    file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as written:
        for path, text in texts.items():
            written.enter_context(written_whole(path)).write_text(text, encoding="utf-8")


def _audio(clips: Sequence[Clip], page: Path, root: Path, embedded: bool) -> dict[str, str]:
    """Clip -> the address of its recording; without embedding, only of those within the project."""
    if embedded:
        return {clip.name: _data_uri(clip.path) for clip in clips}
    paths = {clip.name: Path(os.path.normpath(clip.path)) for clip in clips}
    inside = {name: path for name, path in paths.items() if path.is_relative_to(root)}
    return {name: quote(Path(os.path.relpath(path, page.parent)).as_posix()) for name, path in inside.items()}


def _data_uri(path: Path) -> str:
    kind = AUDIO.get(path.suffix.lower(), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

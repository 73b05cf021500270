"""The doit tasks of the line: which action runs for which recipe and source, and when it runs again.

What is stored about a task goes by its name, so the stages are named SOURCE:RECIPE; those that people call
are named by the recipe alone.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from doit import get_var
from doit.tools import config_changed, result_dep

from . import uptodate
from .actions import run, workspace
from .card import card_names
from .choice import LOUD, Task, artifact_file, book, builds, doing, local, record, stage
from .clips import clip_files
from .fetch import local_folder
from .loaders import views_of
from .manifest import DESCRIPTIVE, MANIFEST, OPTIONAL, VALIDATION
from .recipe import Recipe, Source
from .reporter import Reporter
from .siblings import others
from .stages import runtime_versions
from .subject import public_key_of
from .view_stages import view_name

__all__ = [
    "DOIT_CONFIG",
    "task__plan",
    "task_build",
    "task_calibrate",
    "task_card",
    "task_convert",
    "task_fetch",
    "task_manifest",
    "task_reference",
    "task_validate",
    "task_views",
]

DOIT_CONFIG = {
    "default_tasks": ["recipes"],
    "backend": "json",
    "dep_file": ".doit.db.json",
    "continue": True,
    "verbosity": 2,
    "reporter": Reporter,
}


def task_fetch() -> Iterator[Task]:
    """Download a source (resumable), or use its folder in place; check its files."""
    for source in {source.name: source for _, source in builds()}.values():
        yield {
            "name": source.name,
            "actions": [(run, ["fetch", {"source": source.name}])],
            "file_dep": [_source_file(source)],
            "targets": [local(workspace().source_file(source.name))],
            "uptodate": [(uptodate.source_untouched, [source.name, _local_folder(source)])],
        } | LOUD


def task_calibrate() -> Iterator[Task]:
    """Learn how much each input of each matrix matters, for the recipes that search with activations."""
    needed = {(s.name, r.calibrate): _moments_file(r, s) for r, s in builds() if r.calibrate}
    for (source, clips), moments in sorted(needed.items()):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(run, ["calibrate", {"source": source, "clips": clips}])],
            "file_dep": [local(workspace().source_file(source)), *_clip_files(clips)],
            "targets": [local(moments)],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task__plan() -> Iterator[Task]:
    """Write down all that decides about an artifact's bytes: its plan, the source's hashes, the tools."""
    lock = get_var("lock")
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("write_plan", recipe, source, lock=lock)],
            "file_dep": [
                _recipe_file(recipe),
                local(workspace().source_file(source.name)),
                *([local(_moments_file(recipe, source))] if recipe.calibrate else []),
            ],
            "targets": [local(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [not lock, (uptodate.same_tools, [source.name, recipe.name])],
        } | LOUD


def task_convert() -> Iterator[Task]:
    """Read, rename, transpose, quantize and write: one pass, moved into out/ whole."""
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("convert", recipe, source)],
            "file_dep": [local(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [(uptodate.weights_untouched, [source.name, recipe.name])],
        } | LOUD


def task_reference() -> Iterator[Task]:
    """Transcribe a clip set with a source's unquantized weights, to compare with."""
    for source, clips in sorted({(s.name, c) for r, s in builds() for c in book().clip_sets(s, r)}):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(run, ["reference", {"source": source, "clips": clips}])],
            "file_dep": [local(workspace().source_file(source)), *_clip_files(clips)],
            "targets": [local(workspace().reference_file(source, clips))],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task_validate() -> Iterator[Task]:
    """Transcribe the clips with the built artifact and hold it against the recipe's gates."""
    for recipe, source in builds():
        sets = book().clip_sets(source, recipe)
        references = [workspace().reference_file(source.name, name) for name in sets]
        yield {
            "name": stage(recipe, source),
            "actions": [doing("validate", recipe, source)],
            "file_dep": [
                _recipe_file(recipe),
                _source_file(source),
                *(file for name in sets for file in _clip_files(name)),
                *map(local, references),
            ],
            "targets": [artifact_file(recipe, source, VALIDATION)],
            "uptodate": [
                result_dep(f"convert:{stage(recipe, source)}"),
                config_changed(runtime_versions()),
                (uptodate.unedited, [artifact_file(recipe, source, VALIDATION)]),
            ],
        } | LOUD


def task_card() -> Iterator[Task]:
    """Write the model card from what was measured, with its plot and results for the Hub."""
    for recipe, source in builds():
        files = [artifact_file(recipe, source, name) for name in _card_names(recipe, source)]
        public_key = public_key_of(workspace(), recipe)
        yield {
            "name": stage(recipe, source),
            "actions": [doing("card", recipe, source)],
            "file_dep": [
                artifact_file(recipe, source, VALIDATION),
                _recipe_file(recipe),
                _source_file(source),
                *(_clip_set_file(name) for name in book().clip_sets(source, recipe)),
                local(workspace().cards / recipe.card),
                *_record_file(source),
                *([str(public_key)] if public_key else []),
            ],
            "targets": files,
            "uptodate": [
                (uptodate.unedited, files),
                config_changed({"matplotlib": version("matplotlib")}),  # draws the plot
            ],
        } | LOUD


def task_manifest() -> Iterator[Task]:
    """Complete the manifest: every file's hash, marked validated."""
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("manifest", recipe, source)],
            "file_dep": [artifact_file(recipe, source, name) for name in _descriptions(recipe, source)],
            "uptodate": [
                (uptodate.is_validated, [source.name, recipe.name]),
                config_changed(book().digest(source, recipe)),
            ],
        } | LOUD


def task_views() -> Iterator[Task]:
    """Write the artifact as other loaders read it, and prove that nothing changed (`dialects:`)."""
    for recipe, source in builds():
        if folders := [view_name(recipe, loader) for loader in views_of(recipe.dialects)]:
            yield {
                "name": stage(recipe, source),
                "actions": [doing("views", recipe, source)],
                "task_dep": [f"manifest:{stage(recipe, source)}"],
                "file_dep": [artifact_file(recipe, source, MANIFEST), *_record_file(source)],
                "uptodate": [
                    (uptodate.views_untouched, [source.name, folders]),
                    config_changed({"loaders": repr(views_of(recipe.dialects))}),
                ],
            } | LOUD


def task_build() -> Iterator[Task]:
    """Build, validate and describe an artifact: doit build recipe=4bit source=tiny."""
    for recipe, source in builds():
        task = "views" if views_of(recipe.dialects) else "manifest"
        last = f"{task}:{stage(recipe, source)}"
        yield {"name": recipe.name, "actions": None, "task_dep": [last]}


def _descriptions(recipe: Recipe, source: Source) -> list[str]:
    """The files that are written about an artifact; of the optional ones those that its card will have."""
    card = _card_names(recipe, source)
    return [name for name in DESCRIPTIVE if name in card or name not in OPTIONAL]


def _card_names(recipe: Recipe, source: Source) -> list[str]:
    clips = book().clip_sets(source, recipe).values()
    return card_names(clips, others(record(source), recipe))


def _record_file(source: Source) -> list[str]:
    """The record of what is published, if there is one."""
    return [local(workspace().siblings_file(source.name))] if record(source) else []


def _recipe_file(recipe: Recipe) -> str:
    return local(workspace().recipes / f"{recipe.name}.yaml")


def _source_file(source: Source) -> str:
    return local(workspace().recipes / "sources" / f"{source.name}.yaml")


def _local_folder(source: Source) -> str | None:
    folder = local_folder(source, workspace().recipes / "sources")
    return str(folder) if folder else None


def _moments_file(recipe: Recipe, source: Source) -> Path:
    return workspace().moments_file(source.name, str(recipe.calibrate))


def _clip_set_file(name: str) -> str:
    return local(workspace().clips / f"{name}.yaml")


def _clip_files(name: str) -> list[str]:
    """What a clip set is made of: its definition, transcripts and recordings."""
    members = clip_files(book().clips[name], workspace().clips)
    return [_clip_set_file(name), *map(local, members)]

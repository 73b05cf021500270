"""What `doit clean` removes: what was built; never a release, a download or a source."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from doit import get_var

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.convert.unquantized import PARTIAL as UNQUANTIZED_PARTIAL
from voxbuild.errors import VoxbuildError
from voxbuild.evaluate.records import files_of
from voxbuild.folders import alone
from voxbuild.recipes.loaders import LOADERS

from .actions import workspace
from .selection import book, builds, local


def cleaned(remove: bool) -> Iterator[str]:
    """Remove what the command line selects, or only name it; a line for each path."""
    return _clean(_variants(), not get_var("recipe"), remove)


def _variants() -> list[Variant]:
    """The selected artifacts; without a selection those of every recipe over every source."""
    if get_var("recipe") or get_var("source"):
        return builds()
    known = book()
    return [Variant(workspace(), known, s, r) for s in known.sources.values() for r in known.recipes.values()]


def _clean(variants: list[Variant], with_sources: bool, remove: bool) -> Iterator[str]:
    """Remove what there is of variants and their views, or only name it; a line for each path."""
    for each in (each for variant in variants for each in (variant, *_possible_views(variant))):
        if (paths := _paths(each)) and remove:
            with alone(each.partial), alone(_again(each)):
                yield from _removed(paths, remove)
        else:
            yield from _removed(paths, remove)
    if with_sources:
        for source in dict.fromkeys(variant.source.name for variant in variants):
            unfinished = workspace().partial(source, UNQUANTIZED_PARTIAL)
            evaluated = workspace().evaluation_file(source), workspace().evaluation_page(source)
            paths = [*_unfinished(unfinished), *evaluated, workspace().state(source)]
            yield from _removed([path for path in paths if path.exists()], remove)
    if remove:
        _remove_empty({variant.folder.parent for variant in variants})


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _possible_views(variant: Variant) -> list[Variant]:
    """Its views for all loaders: the recipe may have named more before. None that is another recipe."""
    views = [replace(variant, loader=loader) for loader in LOADERS.values()]
    return [view for view in views if view.folder.name not in variant.book.recipes]


def _again(variant: Variant) -> Path:
    return variant.work.again(variant.source.name, variant.folder.name)


def _paths(variant: Variant) -> list[Path]:
    """What exists of a variant: its folder, unfinished folders, and the files that stages keep about it."""
    partial, state = variant.partial, variant.work.state(variant.source.name)
    name = variant.folder.name
    kept = [state / f"{name}.{what}.json" for what in ("plan", "heard", "stamps")]
    paths = [variant.folder, *_unfinished(partial), _again(variant), *kept, *_records(variant)]
    return [path for path in paths if path.exists() or path.is_symlink()]


def _records(variant: Variant) -> list[Path]:
    """What it was heard to say, found by its weights; without them it is left to `source=`."""
    try:
        weights = Manifest.load(variant.folder).weight_digest
    except VoxbuildError:
        return []
    return files_of(variant.work.records(variant.source.name), weights)


def _unfinished(partial: Path) -> list[Path]:
    """What `folders.whole_folder` may leave when it is killed."""
    return [
        partial,
        *(partial.with_name(f"{partial.name}{end}") for end in (".old", ".journal.json", ".walk")),
    ]


def _removed(paths: list[Path], remove: bool) -> Iterator[str]:
    for path in paths:
        if used := _used(path):
            yield f"kept {local(path)}: it holds {used}"
            continue
        if remove and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif remove:
            path.unlink()
        yield f"{'removed' if remove else 'would remove'} {local(path)}"


def _used(path: Path) -> str | None:
    """The source or the clip set whose files are in the folder; None: none."""
    work, known, place = workspace(), book(), path.resolve()
    for source in known.sources.values():
        origins = (source.origin, *([source.adapter.origin] if source.adapter else []))
        folders = [folder for origin in origins if (folder := origin.folder(work.recipes / "sources"))]
        links = [(folder / file.name).resolve() for folder in folders for file in source.files]
        if any(used.is_relative_to(place) for used in folders + links):
            return f"the source {source.name}"
    for clips in known.clips.values():
        if any(file.resolve().is_relative_to(place) for file in clips.corpus.files(work.clips)):
            return f"the clips {clips.name}"
    return None

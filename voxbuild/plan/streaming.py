"""fetch=: whether a source on the Hub is downloaded, or its weights are received while they are converted."""

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from voxbuild.console import say
from voxbuild.errors import PlanError, SourceError
from voxbuild.recipes.loaders import views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import to_receive
from voxbuild.sources.header import Header, read_source

from .planner import make_plan
from .requirements import estimate, fits, free_disk
from .ways import AUTO, DISK, STREAM


def is_streamed(
    source: Source, base: Path, recipes: Collection[Recipe], how: str, out: Path, header: Callable[[], Header]
) -> bool:
    """Whether a command that makes all these recipes streams their source: a build, and its plan.

    `how` is what fetch= says, `base` the folder that local paths are relative to, `out` that of the
    artifacts; `header` is called where it depends on the disk. Raises its errors, and SourceError for
    fetch=stream and recipes that cannot.
    """
    if how == DISK or not source.origin.identity or not to_receive(source, base):
        return False
    calibrating = ", ".join(recipe.name for recipe in recipes if recipe.calibrate)
    if how == STREAM and calibrating:
        raise SourceError(
            f"fetch=stream: {calibrating} measures with the whole source, which must be on the disk for that;"
            " say fetch=disk, or choose recipes that do not calibrate with recipe="
        )
    if how == STREAM or calibrating:
        return how == STREAM
    return not fits(_artifacts(source, header(), recipes), header().nbytes, *free_disk(out))


def will_stream(source: Source, base: Path, recipes: Collection[Recipe], how: str, out: Path) -> bool:
    """The same of a source that is about to be fetched; said on stderr if nobody asked for it."""
    header = cache(lambda: read_source(source, base))
    try:
        streamed = is_streamed(source, base, recipes, how, out, header)
    except SourceError:
        if how == AUTO:
            return False  # the download, which comes next, tells what is wrong
        raise
    if streamed and how == AUTO:
        weights, needed, free = header().nbytes, _artifacts(source, header(), recipes), free_disk(out)[0]
        say(
            f"{source.name}: {weights / 1e9:.1f} GB of weights and {needed / 1e9:.1f} GB of artifacts"
            f" do not fit on the disk ({free / 1e9:.1f} GB free), so the weights are streamed; fetch=disk"
            " downloads them"
        )
    return streamed


def _artifacts(source: Source, header: Header, recipes: Collection[Recipe]) -> int:
    """Bytes of what the recipes make, as far as it can be planned before the download."""
    tensors, needed = {tensor.name: tensor for tensor in header.tensors}, 0
    for recipe in recipes:
        if not recipe.budget:
            try:
                plan = make_plan(recipe, header.tensors, header.params, header.merged, source.params)
            except PlanError:
                continue  # planning, which comes later, tells it
            needed += estimate(plan, tensors, len(views_of(recipe.dialects))).disk
    return needed

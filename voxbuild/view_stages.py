"""The stage after the manifest: a view of a validated artifact is whole, proven, described, or not there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxbuild.artifact.attest import Attested, attest_view
from voxbuild.artifact.manifest import VALIDATION, Manifest, describe, file_entry, read_validation
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import view_name
from voxbuild.card.check import check_card
from voxbuild.card.render import write_card_files
from voxbuild.card.siblings import read_record
from voxbuild.convert.views import check_view, write_view
from voxbuild.plan.requirements import check_disk
from voxbuild.recipes.book import Book
from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.clips import read_clips
from voxbuild.validate.measure import listen

from .console import progress_bar
from .errors import ValidationError
from .files import write_json
from .folders import whole_folder
from .workspace import Workspace


def make_view(work: Workspace, source: Source, recipe: Recipe, book: Book, loader: Loader) -> str:
    """Write a view, prove it, describe it, and move it to its place; return what was proven.

    Raises ValidationError if the artifact is not validated, or the view is not the same model.
    """
    artifact = work.artifact(source.name, recipe.name)
    manifest, validation = Manifest.load(artifact), read_validation(artifact)
    if not manifest.validated or manifest.damaged(artifact, manifest.weight_files):
        raise ValidationError(f"{artifact}: not what was validated; run `doit build`")
    manifest.refuse_strangers(artifact)
    name = view_name(recipe, loader)
    with whole_folder(work.artifact(source.name, name), work.partial(source.name, name)) as folder:
        check_disk(folder, manifest.nbytes)
        with progress_bar(f"view {name}", 2 * manifest.nbytes, "B") as bar:
            hashes = write_view(loader, artifact, folder, bar.update)
            tensors = check_view(loader, artifact, folder, bar.update)
        heard = _heard_alike(work, book, folder, validation)
        proof = {"dialect": loader.name, "artifact": manifest.weight_digest}
        view = replace(manifest, files=_entries(folder, hashes), view=proof, tools=tool_versions())
        validation |= {"artifact": view.weight_files, "view": proof | {"tensors": tensors, "heard": heard}}
        write_json(folder / VALIDATION, validation)
        write_card_files(work, folder, source, recipe, book, view, validation, loader)
        attest_view(Attested(work, source, recipe, book, folder, view, loader), manifest)
        view = view.completed(book.digest(source, recipe), describe(folder))
        if wrong := check_card(folder, view, validation, read_record(work.siblings_file(source.name))):
            raise ValidationError(f"{folder}: the card does not say what was measured: {'; '.join(wrong)}")
        view.save(folder)
    clips = f"{len(heard)} clip(s) heard alike"
    return f"{name} over {source.name}: {tensors} tensors are the artifact's bit for bit, {clips}"


def _entries(folder: Path, hashes: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Size and hash of every file in a folder; those of shards are known."""
    return {
        path.name: {"size": path.stat().st_size, "sha256": hashes[path.name]}
        if path.name in hashes
        else file_entry(path)
        for path in sorted(folder.iterdir())
    }


def _heard_alike(work: Workspace, book: Book, folder: Path, validation: dict[str, Any]) -> dict[str, str]:
    """What voxrun hears in the first clip of each set: the artifact's text, or ValidationError is raised."""
    clips = [read_clips(book.clips[name], work.clips)[0] for name in validation["sets"]]
    heard = {name: h.text for name, h in listen(folder, clips, lambda: None).items()}
    for name, text in heard.items():
        if text != (before := validation["clips"][name]["heard"]):
            raise ValidationError(f"{folder}: in {name} the view hears {text!r}, the artifact {before!r}")
    return heard

"""The stages that say what an artifact is made of, and from what: its BOM, then its provenance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.files import write_json
from voxbuild.recipes.book import Book
from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.clips import clip_files
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of

from . import bom, provenance
from .manifest import BOM, DESCRIPTIVE, PROVENANCE, Manifest, file_entry, read_validation
from .variant import repo_name


@dataclass(frozen=True)
class Attested:
    """An artifact, or its view for a loader, that is described but for these two files."""

    work: Workspace
    source: Source
    recipe: Recipe
    book: Book
    folder: Path
    manifest: Manifest
    loader: Loader | None = None

    def write_bom(self, ancestor: dict[str, Any]) -> None:
        """Write what it consists of; `ancestor` is the component that it was made from."""
        repo = repo_name(self.source, self.recipe, self.loader)
        clips, validation = self._clip_sets.values(), read_validation(self.folder)
        made = bom.make_bom(self.source, self.recipe, clips, self.manifest, validation, repo, ancestor)
        write_json(self.folder / BOM, made)

    def write_provenance(self, made_from: list[dict[str, Any]]) -> None:
        """Write what each of its files was made from, and validated with."""
        statement = provenance.make_provenance(
            self.source,
            self.recipe,
            self.manifest,
            self.book.digest(self.source, self.recipe),
            self.manifest.weight_files | self._described(),
            made_from + self._recordings(),
            read_validation(self.folder)["runtime"],
        )
        write_json(self.folder / PROVENANCE, statement)

    def _described(self) -> dict[str, Any]:
        """Size and hash of what is written about it so far."""
        paths = {name: self.folder / name for name in DESCRIPTIVE if name != PROVENANCE}
        return {name: file_entry(path) for name, path in paths.items() if path.is_file()}

    @property
    def _clip_sets(self) -> dict[str, Any]:
        return self.book.clip_sets(self.source, self.recipe)

    def _recordings(self) -> list[dict[str, Any]]:
        found = []
        for clips in self._clip_sets.values():
            hashes = {path.name: sha256_of(path) for path in clip_files(clips, self.work.clips)}
            found += provenance.clip_dependencies(clips, hashes)
        return found


def write_bom(work: Workspace, source: Source, recipe: Recipe, book: Book) -> None:
    """Write an artifact's bill of materials."""
    about = _artifact(work, source, recipe, book)
    about.write_bom(bom.upstream(source, about.manifest.source["files"]))


def write_provenance(work: Workspace, source: Source, recipe: Recipe, book: Book) -> None:
    """Write from what an artifact's files were made, once all others are there."""
    about = _artifact(work, source, recipe, book)
    about.write_provenance(provenance.upstream_files(about.manifest.source))


def attest_view(view: Attested, origin: Manifest) -> None:
    """Write both for a view; they name the artifact, whose manifest is `origin`, that it was made from."""
    name = repo_name(view.source, view.recipe)
    view.write_bom(bom.artifact(name, origin))
    view.write_provenance(provenance.artifact_files(name, origin.weight_files))


def _artifact(work: Workspace, source: Source, recipe: Recipe, book: Book) -> Attested:
    folder = work.artifact(source.name, recipe.name)
    return Attested(work, source, recipe, book, folder, Manifest.load(folder))

"""A variant: one recipe over one source, as an artifact or as a view for another loader."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbuild import __version__
from voxbuild.errors import PublishError, RecipeError
from voxbuild.files import read_state
from voxbuild.plan.costs import measurement_of
from voxbuild.recipes.book import Book
from voxbuild.recipes.loaders import Loader, views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.workspace import Workspace
from voxrun.files.paths import is_file

from .manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from voxbuild.sources.fetch import Fetched


@dataclass(frozen=True)
class Variant:
    """An artifact or, with a `loader`, its view for that loader."""

    work: Workspace
    book: Book
    source: Source
    recipe: Recipe
    loader: Loader | None = None

    @property
    def name(self) -> str:
        """For messages: 4bit over tiny."""
        return f"{self._folder_name} over {self.source.name}"

    @property
    def folder(self) -> Path:
        """The folder of the finished variant."""
        return self.work.artifact(self.source.name, self._folder_name)

    @property
    def partial(self) -> Path:
        """The folder in which it is being built."""
        return self.work.partial(self.source.name, self._folder_name)

    @property
    def artifact(self) -> "Variant":
        """The artifact of a view; an artifact itself."""
        return replace(self, loader=None)

    @property
    def views(self) -> list["Variant"]:
        """Its views: one for each dialect of the recipe that needs one."""
        return [replace(self, loader=loader) for loader in views_of(self.recipe.dialects)]

    @property
    def dialect(self) -> str | None:
        """The name of a view's loader."""
        return self.loader.name if self.loader else None

    @property
    def repo(self) -> str:
        """owner/name of the repository to publish it to. Raises RecipeError for a name that cannot be."""
        try:
            return self.book.repo(self.source, self.recipe, self.dialect)
        except ValueError as error:
            raise RecipeError(f"recipe {self.recipe.name}: publish: {error}") from error

    @property
    def private(self) -> bool:
        """Whether it must not be published publicly: as the recipe says, else as the source."""
        return self.book.private(self.source, self.recipe)

    @property
    def asked_public(self) -> bool:
        """Whether `private: false` or private=no says that it may be public, whatever its source is."""
        return self.recipe.publish.private is False

    @property
    def hub_sources(self) -> tuple[str, ...]:
        """The repositories on the Hub that it is made from: the source's and its adapter's."""
        adapter = self.source.adapter
        origins = (self.source.origin, *([adapter.origin] if adapter else []))
        return tuple(repo for origin in origins if (repo := origin.base_model))

    def check_names(self) -> None:
        """Raise RecipeError if the artifact or one of its views cannot have the name of its repository."""
        for each in (self, *self.views):
            each.repo  # noqa: B018

    @property
    def tag(self) -> str:
        """The default tag for publishing."""
        return self.recipe.publish.tag or f"v{__version__}"

    @property
    def digest(self) -> str:
        """One hash of everything that recipes/ says about it, except where local files are."""
        return self.book.digest(self.source, self.recipe)

    @property
    def clip_sets(self) -> dict[str, ClipSet]:
        """The clip sets for its validation."""
        return self.book.clip_sets(self.source, self.recipe)

    @property
    def public_key(self) -> Path | None:
        """The public key in the recipe's `sign:`, if there is one.

        Raises RecipeError if that is not a regular file: doit reads it, and would wait for a pipe.
        """
        if self.recipe.sign is None:
            return None
        path = Path(os.path.normpath(self.work.recipes / self.recipe.sign.public_key))
        if os.path.lexists(path) and not is_file(path):
            raise RecipeError(f"{path}: not a regular file, so not the public key of {self.recipe.name}.yaml")
        return path

    @property
    def record_file(self) -> Path:
        """The record of the source's published variants, which the card lists."""
        return self.work.siblings_file(self.source.name)

    @property
    def plan_file(self) -> Path:
        """The plan, which determines the artifact's weights."""
        return self.work.plan_file(self.source.name, self.recipe.name)

    @property
    def moments_file(self) -> Path:
        """The calibration for its search."""
        recipe = self.recipe
        return self.work.moments_file(self.source.name, str(recipe.calibrate), recipe.moments or "diagonal")

    @property
    def tokens_file(self) -> Path:
        """What the unquantized source writes for the recordings that calibrate."""
        return self.work.tokens_file(self.source.name, str(self.recipe.calibrate))

    @property
    def sensitivity_file(self) -> Path:
        """The measurement for its budget."""
        return self.work.sensitivity_file(self.source.name, measurement_of(self.recipe))

    @property
    def heard_file(self) -> Path:
        """What it was heard to say, of a view."""
        return self.work.heard_file(self.source.name, self._folder_name)

    @property
    def build_command(self) -> str:
        """The command that builds it."""
        return f"doit build recipe={self.recipe.name} source={self.source.name}"

    @cached_property
    def fetched(self) -> "Fetched":
        """The source's fetched files. Raises FormatError or OSError if they were not fetched."""
        from voxbuild.sources.fetch import Fetched  # with all that reads weights

        return Fetched.load(self.work.source_file(self.source.name))

    @property
    def is_built(self) -> bool:
        """Whether it has a manifest."""
        return (self.folder / MANIFEST).is_file()

    @property
    def is_validated(self) -> bool:
        """Whether the artifact (of a view: its artifact) is validated. Raises VoxbuildError if damaged."""
        artifact = self.artifact
        return artifact.is_built and Manifest.load(artifact.folder).validated

    def check_current(self) -> None:
        """Raises PublishError if it was built from other files of its source, or from another place; for a
        view also if it is not built, or from another build of its artifact.
        """
        self._check_source()
        if self.loader is None:
            return
        if not self.folder.is_dir():
            raise PublishError(f"{self.folder}: the view is not built; run `{self.build_command}`")
        artifact, view = Manifest.load(self.artifact.folder), Manifest.load(self.folder)
        if (view.view or {}).get("artifact") != artifact.weight_digest or _facts(view) != _facts(artifact):
            raise PublishError(
                f"{self.folder}: the view is from another build of the artifact; run `{self.build_command}`"
            )

    def _check_source(self) -> None:
        """The recipe's digest does not tell, for it leaves out where local files are."""
        folder = self.artifact.folder
        if not self.artifact.is_built or not read_state(self.work.source_file(self.source.name)):
            return
        moved = self.fetched.moved(self.source, self.work.recipes / "sources")
        if moved or Manifest.load(folder).source.get("files") != self.fetched.identity():
            raise PublishError(
                f"{folder}: the source {self.source.name} has changed or moved since it was built; run"
                f" `{self.build_command}`, which repeats only what is needed"
            )

    @property
    def _folder_name(self) -> str:
        return f"{self.recipe.name}.{self.dialect}" if self.loader else self.recipe.name


def _facts(manifest: Manifest) -> tuple[Any, ...]:
    """The fields in which an artifact and its views agree."""
    m = manifest.as_converted
    return m.variant, manifest.model, m.source, m.recipe, m.device, m.parameters, m.bits_per_weight

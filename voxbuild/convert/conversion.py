"""All files that conversion makes of a source by a recipe, and all that decides about their bytes."""

import hashlib
import json
import shutil
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from voxbuild.artifact.lock import LOCK, Lock, make_lock
from voxbuild.artifact.manifest import Manifest, file_entry
from voxbuild.artifact.tools import tool_versions
from voxbuild.console import progress_bar
from voxbuild.errors import ConvertError, SourceError
from voxbuild.files import write_json
from voxbuild.folders import Journal
from voxbuild.plan.compatibility import check_dialects
from voxbuild.plan.planner import Plan, make_plan
from voxbuild.plan.requirements import check_room, estimate
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched, FetchedFile
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.modes import ACTIVATION
from voxbuild.tensors.moments import Moments, load_moments
from voxbuild.workspace import Workspace
from voxrun.checkpoint.layout import INDEX, TOKENIZER_FILE
from voxrun.files.hashes import sha256_of
from voxrun.files.objects import read_json as read_params


def check_moments(plan: Plan, moments: Moments) -> None:
    """Raises ConvertError unless there are moments for each matrix whose search needs them."""
    for tensor in plan.tensors:
        if tensor.quantization is None or tensor.quantization.search != ACTIVATION:
            continue
        found = moments.get(tensor.module)
        if found is None or found.shape != tensor.shape[1:] or not np.isfinite(found).all():
            raise ConvertError(
                f"{tensor.module}: the calibration tells nothing usable of its {tensor.shape[1]} inputs;"
                " calibrate again, or give it a rule with another search"
            )


SMALL_FILES = ("config.json", INDEX, LOCK, TOKENIZER_FILE)


@dataclass(frozen=True)
class Making:
    """A recipe over a source that was fetched."""

    work: Workspace
    source: Source
    recipe: Recipe
    plan: Plan

    @cached_property
    def fetched(self) -> Fetched:
        """The source's files."""
        return Fetched.load(self.work.source_file(self.source.name))

    @property
    def decisive(self) -> dict[str, Any]:
        """All that the bytes follow from."""
        about = {"plan": self.plan.digest(), "source": self.fetched.identity(), "tools": tool_versions()}
        return about | self._calibration

    @property
    def identity(self) -> str:
        """A digest of that, and of the very file that they are made from."""
        decisive = self.decisive | {"stamp": self.fetched.files[self.source.weights].stamp}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    @property
    def lock(self) -> Lock:
        """The same for people, tensor by tensor."""
        lock = make_lock(self.source, self.plan, self.fetched.identity(), tool_versions())
        lock["recipe"] |= self._calibration
        return lock

    def all_files(self, journal: Journal) -> Manifest:
        """Write them into the journal's folder, but for shards that are whole there; return their manifest.

        Raises what `convert` does, and SourceError if the source does not have its pinned hash.
        """
        folder = journal.folder
        hashes = self._shards(journal)
        write_json(folder / "config.json", dict(self.plan.config))
        write_json(folder / INDEX, self.plan.index())
        write_json(folder / LOCK, self.lock)
        shutil.copyfile(self.fetched.folder / self.source.tokenizer, folder / TOKENIZER_FILE)
        if touched := self.fetched.touched():
            raise SourceError(f"{', '.join(touched)} of {self.source.name}: changed meanwhile; run it again")
        shards = {n: {"size": (folder / n).stat().st_size, "sha256": h} for n, h in hashes.items()}
        return self._manifest(shards | {name: file_entry(folder / name) for name in SMALL_FILES})

    def _shards(self, journal: Journal) -> dict[str, str]:
        weights = self.fetched.files[self.source.weights]
        with Checkpoint(self.fetched.folder / self.source.weights, weights.stamp) as checkpoint:
            there = sum(path.stat().st_size for path in journal.folder.iterdir())
            check_room(journal.folder, estimate(self.plan, checkpoint.tensors), there)
            try:
                return self._converted(checkpoint, weights, journal)
            except (ConvertError, SourceError):  # to go on would end as this did
                journal.forget()
                raise

    def _converted(self, checkpoint: Checkpoint, weights: FetchedFile, journal: Journal) -> dict[str, str]:
        """Read the source once; if it was never hashed as it is now, its hash is proven on the way."""
        from .shards import convert, is_in_order  # its loops are compiled: only who converts waits for that

        moments, proof = self._moments(), self.work.proof_file(self.source.name)
        prove = partial(weights.prove, path=checkpoint.path, source=self.source.name, proof=proof)
        if not (proven := weights.is_proven(proof)) and not is_in_order(self.plan, checkpoint):
            prove(sha256_of(checkpoint.path))
            proven = True
        with (
            closing(OnePass(checkpoint, hashing=not proven)) as stream,
            progress_bar("convert " + self.recipe.name, checkpoint.nbytes, "B") as bar,
        ):
            hashes = convert(self.plan, stream, journal, bar.update, moments)
            if not proven:
                prove(stream.sha256())
        return hashes

    @cached_property
    def _calibration(self) -> dict[str, Any]:
        """What the recipe was calibrated with, if it was."""
        if self.recipe.calibrate is None:
            return {}
        moments = self.work.moments_file(self.source.name, self.recipe.calibrate)
        return {"calibration": {"clips": self.recipe.calibrate, "sha256": sha256_of(moments)}}

    def _moments(self) -> Moments:
        """Those of all matrices that are searched for with them. Raises ConvertError."""
        if self.recipe.calibrate is None:
            return {}
        moments = load_moments(self.work.moments_file(self.source.name, self.recipe.calibrate))
        check_moments(self.plan, moments)
        return moments

    def _manifest(self, files: dict[str, dict[str, Any]]) -> Manifest:
        return Manifest(
            variant=self.recipe.name,
            model=self.source.model,
            source={
                "name": self.source.name,
                **(self.source.hub.model_dump() if self.source.hub else {}),
                "files": self.fetched.identity(),
            },
            recipe={"name": self.recipe.name, **self._calibration},
            tools=tool_versions(),
            device="cpu",
            parameters=self.plan.parameters,
            bits_per_weight=round(self.plan.bits_per_weight, 4),
            files=files,
            validated=False,
        )


def plan_artifact(work: Workspace, source: Source, recipe: Recipe) -> Plan:
    """Make the plan of a recipe from the source's header. Raises PlanError, CheckpointError."""
    folder = Fetched.load(work.source_file(source.name)).folder
    params = read_params(folder / source.params)
    with Checkpoint(folder / source.weights) as checkpoint:
        plan = make_plan(recipe, checkpoint.tensors.values(), params)
    check_dialects(recipe, plan)
    return plan

"""The files that conversion writes for a variant, and the inputs that determine their bytes."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.artifact.lock import LOCK, Lock, make_lock
from voxbuild.artifact.manifest import Manifest, file_entry
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.console import progress_bar
from voxbuild.errors import ConvertError, SourceError
from voxbuild.files import write_json
from voxbuild.folders import Journal
from voxbuild.plan.compatibility import check_dialects
from voxbuild.plan.planner import Plan, make_plan
from voxbuild.plan.requirements import check_room, estimate
from voxbuild.sources.fetch import FetchedFile
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.moments import Moments, load_moments
from voxrun.checkpoint.layout import INDEX, TOKENIZER_FILE
from voxrun.files.hashes import sha256_of
from voxrun.files.objects import read_json as read_params
from voxrun.trust.manifest import Entry

SMALL_FILES = ("config.json", INDEX, LOCK, TOKENIZER_FILE)


@dataclass(frozen=True)
class Conversion:
    """A variant whose source has been fetched, and its plan."""

    variant: Variant
    plan: Plan

    @classmethod
    def of(cls, variant: Variant) -> "Conversion":
        """Plan a variant from the source's header. Raises PlanError, CheckpointError."""
        source, folder = variant.source, variant.fetched.folder
        params = read_params(folder / source.params)
        with Checkpoint(folder / source.weights) as checkpoint:
            plan = make_plan(variant.recipe, checkpoint.tensors.values(), params)
        check_dialects(variant.recipe, plan)
        return cls(variant, plan)

    @property
    def inputs(self) -> dict[str, Any]:
        """Everything that determines the bytes."""
        source = self.variant.fetched.identity()
        return {"plan": self.plan.digest(), "source": source, "tools": tool_versions()} | self._calibration

    @property
    def identity(self) -> str:
        """A digest of the inputs, and of the stamp of the source's weights."""
        inputs = self.inputs | {"stamp": self._weights.stamp}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @property
    def lock(self) -> Lock:
        """The content of recipe.lock: the inputs, tensor by tensor."""
        variant = self.variant
        lock = make_lock(variant.source, self.plan, variant.fetched.identity(), tool_versions())
        lock["recipe"] |= self._calibration
        return lock

    def write_weights(self, journal: Journal) -> dict[str, Entry]:
        """Write the shards that are not finished; return all of them by name.

        The source is read once, and its hash is verified on the way if that was not done before. Raises the
        errors of `shards.convert`, and SourceError if the source does not have its pinned hash.
        """
        from .shards import convert, is_in_order  # slow: it compiles loops

        folder, name, moments = journal.folder, self.variant.source.name, self._moments()
        path = self.variant.fetched.folder / self.variant.source.weights
        proof = self.variant.work.proof_file(name)
        verify = partial(self._weights.prove, path=path, source=name, proof=proof)
        with Checkpoint(path, self._weights.stamp) as checkpoint:
            there = sum(file.stat().st_size for file in folder.iterdir())
            check_room(folder, estimate(self.plan, checkpoint.tensors), there)  # finished shards are kept
            with _forgotten_if_wrong(journal):
                hashing = not self._weights.is_proven(proof)
                if hashing and not is_in_order(self.plan, checkpoint):
                    verify(sha256_of(path))
                    hashing = False
                with (
                    closing(OnePass(checkpoint, hashing=hashing)) as stream,
                    progress_bar("convert " + self.plan.recipe, checkpoint.nbytes, "B") as bar,
                ):
                    hashes = convert(self.plan, stream, journal, bar.update, moments)
                    if hashing:
                        verify(stream.sha256())
        return {name: Entry((folder / name).stat().st_size, sha256) for name, sha256 in hashes.items()}

    def write_rest(self, folder: Path, shards: Mapping[str, Entry]) -> Manifest:
        """Write all other files; return the manifest. Raises SourceError if the source has changed."""
        source, fetched = self.variant.source, self.variant.fetched
        write_json(folder / "config.json", dict(self.plan.config))
        write_json(folder / INDEX, self.plan.index())
        write_json(folder / LOCK, self.lock)
        shutil.copyfile(fetched.folder / source.tokenizer, folder / TOKENIZER_FILE)
        if touched := fetched.touched():
            raise SourceError(
                f"{', '.join(touched)} of {source.name}: changed during the build; run it again"
            )
        return Manifest(
            variant=self.plan.recipe,
            model=source.model,
            source=self.lock["source"],
            recipe={"name": self.plan.recipe, **self._calibration},
            tools=tool_versions(),
            device="cpu",
            parameters=self.plan.parameters,
            bits_per_weight=round(self.plan.bits_per_weight, 4),
            files={**shards, **{name: file_entry(folder / name) for name in SMALL_FILES}},
            validated=False,
        )

    @property
    def _weights(self) -> FetchedFile:
        return self.variant.fetched.files[self.variant.source.weights]

    @cached_property
    def _calibration(self) -> dict[str, Any]:
        """The clip set and the sha256 of the moments of a calibrated recipe, else empty."""
        if not (clips := self.variant.recipe.calibrate):
            return {}
        return {"calibration": {"clips": clips, "sha256": sha256_of(self.variant.moments_file)}}

    def _moments(self) -> Moments:
        """The moments of a calibrated recipe, else empty. Raises ConvertError if some are missing."""
        if self.variant.recipe.calibrate is None:
            return {}
        moments = load_moments(self.variant.moments_file)
        check_moments(self.plan, moments)
        return moments


@contextmanager
def _forgotten_if_wrong(journal: Journal) -> Iterator[None]:
    """No shard is kept if weights or source are wrong: continuing would fail in the same way."""
    try:
        yield
    except (ConvertError, SourceError):
        journal.forget()
        raise


def check_moments(plan: Plan, moments: Moments) -> None:
    """Raises ConvertError unless there are moments for each matrix whose search needs them."""
    for tensor in plan.tensors:
        if tensor.quantization is None or not METHODS[tensor.quantization.search].needs_moments:
            continue
        found = moments.get(tensor.module)
        if found is None or found.shape != tensor.shape[1:] or not np.isfinite(found).all():
            raise ConvertError(
                f"{tensor.module}: the calibration has no usable moments of its {tensor.shape[1]} inputs;"
                " calibrate again, or give it a rule with another search"
            )

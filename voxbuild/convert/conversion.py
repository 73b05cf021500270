"""The files that conversion writes for a variant, and the inputs that determine their bytes."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbuild.artifact.lock import LOCK, Lock, make_lock
from voxbuild.artifact.manifest import Manifest, file_entry
from voxbuild.artifact.tools import tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.calibrate.recordings import Recording, load_recordings
from voxbuild.console import progress_bar, some_of
from voxbuild.errors import ConvertError, DamagedError, SourceError
from voxbuild.files import write_json
from voxbuild.folders import Journal
from voxbuild.plan.allocation import MakePlan, allocated
from voxbuild.plan.compatibility import check_dialects
from voxbuild.plan.heads import check_heads
from voxbuild.plan.planner import Plan, make_plan
from voxbuild.plan.requirements import Estimate, check_room, estimate, in_words
from voxbuild.plan.work import is_by_layers, rounding_seconds, uses_moments, walk_seconds
from voxbuild.sources.clips import read_recordings
from voxbuild.sources.fetch import FetchedFile, Proofs
from voxbuild.tensors.adapter import Updates
from voxbuild.tensors.second_moments import Heard, SecondMoments
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxrun.checkpoint.layout import INDEX, TOKENIZER_FILE
from voxrun.checkpoint.tensors import Tensor
from voxrun.files.hashes import sha256_of
from voxrun.files.objects import read_json as read_params
from voxrun.trust.manifest import Entry

from .calibrated import moments_of
from .rounding import rounding_of

if TYPE_CHECKING:
    from .shard_writer import ShardWriter

SAME_MACHINE = "on the same machine with the same BLAS"
"""Where a sequential conversion gives the same bytes."""
SMALL_FILES = ("config.json", INDEX, LOCK, TOKENIZER_FILE)


@dataclass(frozen=True)
class Conversion:
    """A variant whose source has been fetched, and its plan."""

    variant: Variant
    plan: Plan

    @classmethod
    def of(cls, variant: Variant) -> "Conversion":
        """Plan a variant from the source's headers. Raises PlanError, CheckpointError, ConfigError."""
        recipe, make = variant.recipe, planner_of(variant)
        if recipe.budget:
            recipe = allocated(recipe, make, variant.sensitivity_file)
        plan = make(recipe)
        with variant.fetched.open_weights(variant.source) as weights:
            check_heads(weights)
        check_dialects(recipe, plan)
        return cls(variant, plan)

    @property
    def inputs(self) -> dict[str, Any]:
        """Everything that determines the bytes."""
        source = self.variant.fetched.identity()
        return {"plan": self.plan.digest(), "source": source, "tools": tool_versions()} | self._calibration

    @property
    def identity(self) -> str:
        """A digest of the inputs, and of the stamps of the source's weights."""
        stamps = {name: file.stamp for name, file in self._weights.items()}
        inputs = self.inputs | {"stamps": stamps}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    @property
    def lock(self) -> Lock:
        """The content of recipe.lock: the inputs, tensor by tensor."""
        variant = self.variant
        about = dict(variant.fetched.read_adapter(self.plan.config).about)
        files = variant.fetched.identity()
        lock = make_lock(variant.source, self.plan, files, tool_versions(), about)
        lock["recipe"] |= self._calibration
        return lock

    def write_weights(
        self, journal: Journal, ready: Iterable[Path] = (), others: Sequence["Begun"] = ()
    ) -> dict[str, Entry]:
        """Write the shards that are not finished; return all of them by name.

        Matrices that take long are copied from artifacts in the folders `ready` that hold the same. The
        shards of `others`, see `together.begun_with`, are written in the same read; errors of theirs are not
        raised, and what they lack then is left to their own turn.

        Each file of the source is read once, and its hash is verified on the way if that was not done before.
        Raises the errors of `shards.convert`, and SourceError if a file does not have its pinned hash.
        """
        variant, folder = self.variant, journal.folder
        fetched, stamps = variant.fetched, {name: file.stamp for name, file in self._weights.items()}
        proofs = Proofs(variant.work.proof_file(variant.source.name), fetched, variant.source.name)
        updates = fetched.read_adapter(self.plan.config).updates
        with fetched.open_weights(variant.source, stamps) as weights:
            check_room(folder, self.needed(journal, weights.tensors))
            if is_by_layers(self.plan):
                with _forgotten_if_wrong(journal):
                    hashes = self._by_layers(journal, weights, proofs, updates)
            else:
                all_of_them = [(self, journal), *others]
                with _forgotten_if_wrong(*(each for _, each in all_of_them)), ExitStack() as opened:
                    writers = [
                        opened.enter_context(conversion._writer(each, updates, ready))
                        for conversion, each in all_of_them
                    ]
                    hashes = _in_one_read(writers, weights, proofs)
        if without := rounding_of(journal).get("without_moments"):
            why = some_of([f"{module} ({reason})" for module, reason in without.items()])
            print(f"{variant.name}: rounded without moments: {why}", file=sys.stderr)
        return {name: Entry((folder / name).stat().st_size, sha256) for name, sha256 in hashes.items()}

    @contextmanager
    def _writer(self, journal: Journal, updates: Updates, ready: Iterable[Path]) -> Iterator["ShardWriter"]:
        """What writes the shards while the source is read. Raises ConvertError if moments are missing."""
        from .ready import ready_in
        from .shard_writer import ShardWriter

        with (
            moments_of(self.variant, self.plan) as found,
            ready_in(ready, self.plan, self.lock) as there,
            closing(ShardWriter(self.plan, journal, found, updates, there)) as writer,
        ):
            yield writer

    def _by_layers(
        self, journal: Journal, weights: SourceFiles, proofs: Proofs, updates: Updates
    ) -> dict[str, str]:
        """Convert in the order of the network, with moments that are measured in passing."""
        from voxbuild.calibrate.walk import Walk  # slow: it loads the model's kernels

        from .layerwise import Step, convert_by_layers, target_of
        from .readable import proven_folder

        variant, heard = self.variant, self._heard
        model = proven_folder(variant.work, variant.source)
        proofs.complete(self._weights, lambda done: None)
        rounding = sum(rounding_seconds(tensor) for tensor in self.plan.tensors if uses_moments(tensor))
        walking = walk_seconds(self.plan, heard.seconds)
        needed = self.needed(None, weights.tensors)
        print(f"{variant.name}: layer by layer: about {in_words(needed)}", file=sys.stderr)
        with (
            closing(Passes(weights, ())) as stream,
            progress_bar("convert " + self.plan.recipe, round(rounding + walking), "s") as bar,
        ):

            def walk() -> Iterable[Step]:
                steps = Walk(model, self._recordings, sequential=self.plan.sequential, state=journal.walk)
                return steps.steps(lambda done: bar.update(walking * done / steps.total))

            target = target_of(heard.seconds) if self.plan.sequential else None
            return convert_by_layers(self.plan, stream, journal, walk, bar.update, updates, target)

    def needed(self, journal: Journal | None, header: Mapping[str, Tensor]) -> Estimate:
        """What it needs beside what an earlier run left in the journal's folder; `header`: the source's."""
        streamed = bool(self.variant.fetched.streamed)
        needed = estimate(self.plan, header, audio=self._heard.seconds, streamed=streamed)
        there = sum(file.stat().st_size for file in journal.folder.iterdir()) if journal else 0
        return replace(needed, disk=needed.disk - there)

    @property
    def _recordings(self) -> list[Recording]:
        """What calibrates, with what the unquantized source heard in it. Raises FormatError, OSError."""
        variant = self.variant
        clips = variant.book.clips[str(variant.recipe.calibrate)]
        paths = [clip.path for clip in read_recordings(clips, variant.work.clips)]
        return load_recordings(variant.tokens_file, paths)

    @cached_property
    def _heard(self) -> Heard:
        """How much was heard for second moments."""
        if self.variant.recipe.moments != "matrix":
            return Heard(0, 0.0)
        with SecondMoments(self.variant.moments_file) as file:
            return file.heard

    def write_model(self, folder: Path) -> None:
        """Write configuration, index and tokenizer. Raises SourceError if the source has changed."""
        source, fetched = self.variant.source, self.variant.fetched
        write_json(folder / "config.json", dict(self.plan.config))
        write_json(folder / INDEX, self.plan.index())
        shutil.copyfile(fetched.path(source.tokenizer), folder / TOKENIZER_FILE)
        if touched := fetched.touched():
            raise SourceError(
                f"{', '.join(touched)} of {source.name}: changed during the build; run it again"
            )

    def write_rest(self, journal: Journal, shards: Mapping[str, Entry]) -> Manifest:
        """Write all other files; return the manifest. Raises SourceError if the source has changed."""
        folder = journal.folder
        self.write_model(folder)
        rounding = self._rounding(journal)
        write_json(folder / LOCK, self.lock | rounding)
        source = self.variant.source
        return Manifest(
            variant=self.plan.recipe,
            model=source.model,
            source=self.lock["source"],
            recipe={"name": self.plan.recipe, **self._calibration, **rounding},
            tools=tool_versions(),
            device="cpu",
            parameters=self.plan.parameters,
            bits_per_weight=round(self.plan.bits_per_weight, 4),
            files={**shards, **{name: file_entry(folder / name) for name in SMALL_FILES}},
            validated=False,
        )

    def _rounding(self, journal: Journal) -> dict[str, Any]:
        """For lock and manifest: how matrices were rounded that need second moments."""
        facts = rounding_of(journal)
        if moments := facts.pop("moments", None):  # of each input
            facts["moments"] = hashlib.sha256(json.dumps(moments, sort_keys=True).encode()).hexdigest()
        if self.plan.sequential:
            facts["reproducible"] = SAME_MACHINE
        return {"rounding": facts} if facts else {}

    @property
    def _weights(self) -> dict[str, FetchedFile]:
        files = self.variant.fetched.files
        return {name: files[name] for name in self.variant.source.weight_files}

    @cached_property
    def _calibration(self) -> dict[str, Any]:
        """The clip set, and the sha256 of the moments and of the measurement that a recipe uses."""
        recipe, path = self.variant.recipe, self.variant.moments_file
        if not recipe.calibrate:
            return {}
        facts: dict[str, Any] = {"clips": recipe.calibrate}
        if recipe.moments:
            facts["sha256"] = self._digest_of_recordings() if is_by_layers(self.plan) else sha256_of(path)
        if recipe.moments == "matrix":
            facts |= self._heard.facts
        measured = {"sensitivity": sha256_of(self.variant.sensitivity_file)} if recipe.budget else None
        return {"calibration": facts} | ({"allocation": measured} if measured else {})

    def _digest_of_recordings(self) -> str:
        """What determines moments that are not kept: the recordings, and what the source writes for them."""
        hashes = {each.path.name: sha256_of(each.path) for each in self._recordings}
        hashes["tokens"] = sha256_of(self.variant.tokens_file)
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


Begun = tuple[Conversion, Journal]
"""A conversion, and what an earlier run left of it."""


def _in_one_read(writers: Sequence["ShardWriter"], weights: SourceFiles, proofs: Proofs) -> dict[str, str]:
    """Convert while the source is read and hashed once; return the first plan's shards, or raise its error.

    The hash goes on where that run had it which had written least.
    """
    from .shards import convert_all, out_of_order  # slow: it compiles loops

    proofs.complete(out_of_order(writers[0].plan, weights), lambda done: None)
    unproven, first = proofs.missing(weights.files), writers[0]
    mark = min(writers, key=lambda writer: writer.position).mark
    names = ", ".join(writer.plan.recipe for writer in writers)
    with (
        closing(Passes(weights, unproven, mark)) as stream,
        progress_bar(f"convert {names}", weights.nbytes, "B") as bar,
    ):
        convert_all(writers, stream, bar.update)
        if not all(writer.error for writer in writers):
            for name in unproven:
                proofs.add(name, stream.sha256(name))
    if first.error:
        raise first.error
    return first.hashes


def planner_of(variant: Variant) -> MakePlan:
    """What plans recipes over a variant's source, from its headers. Raises CheckpointError, ConfigError."""
    source, fetched = variant.source, variant.fetched
    params = read_params(fetched.path(source.params))
    updates = fetched.read_adapter(params).updates
    with fetched.open_weights(source) as weights:
        header = list(weights.tensors.values())
    return lambda recipe: make_plan(recipe, header, params, updates, source.params)


@contextmanager
def _forgotten_if_wrong(journal: Journal, *others: Journal) -> Iterator[None]:
    """No shard is kept if weights or source are wrong: continuing would fail in the same way.

    What is only out of reach, as the Hub may be, is another matter.
    """
    try:
        yield
    except (ConvertError, DamagedError) as error:
        for each in (journal, *(others if isinstance(error, DamagedError) else ())):
            each.forget()
        raise

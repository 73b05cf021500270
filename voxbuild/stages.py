"""START HERE: the stages of a build, in order. Each reads and writes files; `tasks` decides when they run.

fetch -> (unquantize) -> (calibrate) -> (measure_sensitivity) -> write_plan -> convert
      -> (transcribe_reference) -> validate -> write_card -> write_bom, write_provenance -> finish_manifest
      -> (make_views) -> (sign_variant)
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxbuild.artifact import attest
from voxbuild.artifact.heard_once import check_heard_once
from voxbuild.artifact.lock import LOCK, check_drift, refuse_difference
from voxbuild.artifact.manifest import (
    DESCRIPTIVE,
    MANIFEST,
    VALIDATION,
    Manifest,
    describe,
    plain,
    read_validation,
)
from voxbuild.artifact.tools import runtime_versions, tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.calibrate.diagonal import mean_squares
from voxbuild.calibrate.recordings import own_tokens, refuse_silence, save_recordings
from voxbuild.calibrate.walk import Walk
from voxbuild.calibrate.whole import are_kept, second_moments
from voxbuild.card.render import check_card_names, write_card_files
from voxbuild.convert import kept_views
from voxbuild.convert.conversion import Conversion, planner_of
from voxbuild.convert.readable import hashes_of_copy, proven_folder
from voxbuild.convert.together import begun_with
from voxbuild.convert.unquantized import write_unquantized
from voxbuild.convert.views import check_view, write_view
from voxbuild.plan.allocation import check_budget
from voxbuild.plan.requirements import check_disk
from voxbuild.plan.streaming import will_stream
from voxbuild.plan.ways import DISK
from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.sources.clips import read_clips, read_recordings
from voxbuild.sources.fetch import fetch as fetch_files
from voxbuild.tensors.moments import save_moments
from voxbuild.tensors.second_moments import Heard, save_second_moments
from voxbuild.validate.gates import gates_table
from voxbuild.validate.measure import both_hear, check_reference, heard_elsewhere, listen, source_hears
from voxbuild.validate.report import report
from voxrun.checkpoint.layout import Layout
from voxrun.device import device_name
from voxrun.files.hashes import sha256_of
from voxrun.trust.manifest import Entry

from .console import progress_bar
from .errors import ValidationError
from .files import write_json
from .folders import Journal, whole_folder
from .workspace import Workspace


def fetch(work: Workspace, source: Source, recipes: Sequence[Recipe] = (), how: str = DISK) -> dict[str, Any]:
    """Get the source's files, check them and record their hashes; return these. Raises SourceError.

    `how` and the recipes that will be built say whether the weights stay on the Hub: see `plan.streaming`.
    """
    base, total = work.recipes / "sources", sum(file.size or 0 for file in source.files)
    stream = will_stream(source, base, recipes, how, work.out)
    with progress_bar("check " + source.name, total, "B") as bar:
        fetched = fetch_files(source, base, bar.update, stream)
    fetched.save(work.source_file(source.name))
    return {"files": fetched.identity()}


def unquantize(work: Workspace, source: Source) -> dict[str, Any]:
    """Convert a source that voxrun cannot read itself, without quantization, to compare artifacts with.

    Returns the hashes of the copy, on which all that is compared with it depends.
    """
    write_unquantized(work, source)
    return {"copy": hashes_of_copy(work, source)}


def calibrate(work: Workspace, source: Source, clips: ClipSet, kind: str = "diagonal") -> None:
    """Write the moments of the unquantized source's inputs over a clip set, of one kind.

    Diagonal: how much each input of each matrix matters. Matrix: the second moments, and beside them what the
    source writes for each recording; moments that are too large to keep are left to conversion.
    """
    folder = proven_folder(work, source)
    paths = [clip.path for clip in read_recordings(clips, work.clips)]
    path = work.moments_file(source.name, clips.name, kind)
    if kind == "diagonal":
        with progress_bar(f"calibrate {clips.name}", len(paths), "clip") as bar:
            save_moments(path, mean_squares(folder, paths, bar.update))
        return
    tokens = work.tokens_file(source.name, clips.name)
    kept = tokens.with_suffix(".partial.json")
    with progress_bar(f"transcribe {clips.name}", len(paths), "clip") as bar:
        recordings = own_tokens(folder, paths, bar.update, kept)
    moments = {}
    if are_kept(Layout(folder).config):
        walk = Walk(folder, recordings, sequential=False)
        with progress_bar(f"calibrate {clips.name}", walk.total, "clip") as bar:
            moments = second_moments(walk, bar.update)
    refuse_silence(folder, recordings)
    save_recordings(tokens, recordings)
    save_second_moments(path, moments, Heard(len(recordings), sum(each.seconds for each in recordings)))
    kept.unlink()


def measure_sensitivity(variant: Variant) -> None:
    """Write how much the unquantized source's output changes if one matrix is quantized, for a budget.

    Raises PlanError at once if nothing fits the budget.
    """
    from voxbuild.calibrate.measurement import write_sensitivity  # slow: it compiles loops

    check_budget(variant.recipe, planner_of(variant))
    write_sensitivity(variant, proven_folder(variant.work, variant.source))


def write_plan(variant: Variant, lock: Path | None = None) -> str | None:
    """Write the plan, which determines the artifact's weights: convert runs again only if it changed.

    Returns what changed since the lock of the existing artifact, in a source's files that are not pinned.
    Raises LockError if the plan differs from `lock`, or (None) if what is pinned changed since then.
    """
    check_card_names(variant)  # fails now, not after an hour of converting
    check_heard_once(variant)
    conversion = Conversion.of(variant)
    own, news = variant.folder / LOCK, None
    if lock:
        refuse_difference(lock, conversion.lock)
    elif own.is_file():
        news = check_drift(own, conversion.lock, variant.source)
    write_json(variant.plan_file, conversion.inputs | {"recorded": conversion.lock["source"]})
    return news


def convert(variant: Variant, others: Sequence[Variant] = ()) -> dict[str, str]:
    """Convert into a temporary folder, then move it into place; return the digest of the weight files.

    Continues an interrupted run. The weights of `others` over the same source are written in the same read,
    where that is possible, and left for their own turn.
    """
    conversion = Conversion.of(variant)
    journal = Journal(variant.partial, conversion.identity)
    with (
        whole_folder(variant.folder, journal.folder, journal),
        begun_with(conversion, journal, others) as begun,
    ):
        shards = conversion.write_weights(journal, variant.work.artifacts(variant.source.name), begun)
        manifest = conversion.write_rest(journal, shards)
        manifest.save(journal.folder)
    return {"weights": manifest.weight_digest}


def transcribe_reference(
    work: Workspace, source: Source, clips: ClipSet, scheduler: str | None = None
) -> None:
    """Let the unquantized source hear a clip set, and keep what its artifacts are compared with.

    `scheduler`: a cluster's address, see `runner_for`. Raises ValidationError if the source does not hear the
    clips, or has no finite results.
    """
    members = read_clips(clips, work.clips)
    known = source_hears(work, source, members, scheduler=scheduler)
    check_reference(source.name, clips, members, [result.text for result, _ in known])
    write_json(
        work.reference_file(source.name, clips.name),
        {
            clip.name: {"text": result.text, "tokens": result.tokens, "scores": reference.digest}
            for clip, (result, reference) in zip(members, known, strict=True)
        },
    )


def validate(variant: Variant, scheduler: str | None = None) -> str:
    """Let the artifact hear the clips, write validation.json, return the table of gates.

    What is in the records is not heard again: a clip, if only gates or texts have changed, or after an
    interruption. Raises ValidationError with the table if a gate fails; the artifact stays, marked
    unvalidated. Raises VoxbuildError if the folder holds files that are not in the manifest, as they might be
    loaded.
    """
    check_heard_once(variant)
    folder, recipe, source = variant.folder, variant.recipe, variant.source
    manifest = Manifest.load(folder).unvalidated()
    manifest.save(folder)  # unvalidated until the gates are passed
    if damaged := manifest.damaged(folder):
        (folder / MANIFEST).unlink()  # so that convert runs again
        raise ValidationError(f"{folder}: changed since conversion: {', '.join(damaged)}; build it again")
    manifest.refuse_unlisted(folder, DESCRIPTIVE)
    clips = {name: read_clips(clip_set, variant.work.clips) for name, clip_set in variant.clip_sets.items()}
    every = [clip for members in clips.values() for clip in members]
    heard, reference = both_hear(variant, every, scheduler)
    normalisers = {name: clip_set.normaliser for name, clip_set in variant.clip_sets.items()}
    result = report(clips, normalisers, heard, reference, recipe.validation.gates.stricter(source.gates))
    runtime = runtime_versions() | {"device": device_name()}
    result |= {"artifact": plain(manifest.weight_files), "runtime": runtime}
    if heard_elsewhere(variant, every):
        result["unquantized"]["heard_elsewhere"] = True
    write_json(folder / VALIDATION, result)
    table = gates_table(result)
    if not result["passed"]:
        raise ValidationError(
            f"{variant.name} does not pass its gates; {folder} is kept, but cannot be published\n{table}"
        )
    return f"{variant.name} passes its gates\n{table}"


def write_card(variant: Variant) -> None:
    """Write the card and its files, from the manifest, the validation and the record of siblings."""
    folder = variant.folder
    write_card_files(variant, folder, Manifest.load(folder), read_validation(folder))


def write_bom(variant: Variant) -> None:
    """Write the artifact's bill of materials."""
    attest.write_bom(variant, variant.folder, Manifest.load(variant.folder))


def write_provenance(variant: Variant) -> None:
    """Write the artifact's provenance, after all files that it covers."""
    attest.write_provenance(variant, variant.folder, Manifest.load(variant.folder))


def finish_manifest(variant: Variant) -> None:
    """Add the descriptive files to the artifact's manifest, and mark it validated.

    Raises ValidationError if the validation did not pass, or is of other files.
    """
    folder = variant.folder
    first, validation = Manifest.load(folder), read_validation(folder)
    if not validation["passed"] or validation["artifact"] != plain(first.weight_files):
        raise ValidationError(f"{folder}: {VALIDATION} does not say that these files passed")
    manifest = first.completed(variant.source.model, variant.digest, describe(folder))
    manifest.refuse_unlisted(folder)
    manifest.save(folder)


def make_views(variant: Variant) -> str:
    """Write and check the artifact's views, each moved into place when complete; return a line for each.

    Raises ValidationError if the artifact is not validated, or a view is not the same model.
    """
    return "\n".join(_make_view(view, loader) for view in variant.views if (loader := view.loader))


def _make_view(view: Variant, loader: Loader) -> str:
    origin = view.artifact.folder
    artifact, validation = Manifest.load(origin), read_validation(origin)
    if not artifact.validated or artifact.damaged(origin, artifact.weight_files):
        raise ValidationError(f"{origin}: not validated, or changed since; run `doit build`")
    artifact.refuse_unlisted(origin)
    clips = [read_clips(view.book.clips[name], view.work.clips)[0] for name in validation["sets"]]
    expected = {clip.name: validation["clips"][clip.name]["heard"] for clip in clips}
    with whole_folder(view.folder, view.partial) as folder:
        proven = kept_views.reuse(view, artifact, expected, folder)
        if proven is None:
            files, tensors = _write_view(loader, origin, artifact, folder)
            _check_transcripts(folder, clips, expected)
            proven = kept_views.ProvenView(files, tensors, expected)
            kept_views.remember(view, artifact, proven)
        _write_documents(view, folder, artifact, validation, proven)
    equal = f"{proven.tensors} tensors and {len(expected)} transcript(s) are equal to the artifact's"
    return f"{view.name}: {equal}"


def _write_view(
    loader: Loader, origin: Path, artifact: Manifest, folder: Path
) -> tuple[dict[str, Entry], int]:
    """Write a view's weight files; return them, and the number of tensors that equal the artifact's."""
    check_disk(folder, artifact.nbytes)
    with progress_bar(f"view {folder.name}", 2 * artifact.nbytes, "B") as bar:
        hashes = write_view(loader, origin, folder, bar.update)
        tensors = check_view(loader, origin, folder, bar.update)
    files = {
        path.name: Entry(path.stat().st_size, hashes.get(path.name) or sha256_of(path))
        for path in sorted(folder.iterdir())
    }
    return files, tensors


def _check_transcripts(folder: Path, clips: list[Clip], expected: dict[str, str]) -> None:
    """Raises ValidationError if a view hears anything else in a clip than the artifact."""
    for clip, text in zip(clips, listen(folder, clips), strict=True):
        if text != expected[clip.name]:
            raise ValidationError(
                f"{folder}: in {clip.name} the view hears {text!r}, the artifact {expected[clip.name]!r}"
            )


def _write_documents(
    view: Variant,
    folder: Path,
    artifact: Manifest,
    validation: dict[str, Any],
    proven: kept_views.ProvenView,
) -> None:
    """Write a view's documents and its manifest beside its weight files."""
    proof = {"dialect": str(view.dialect), "artifact": artifact.weight_digest}
    manifest = replace(artifact, files=proven.files, view=proof, tools=tool_versions())
    in_full = proof | {"tensors": proven.tensors, "heard": proven.heard}
    validation = validation | {"artifact": plain(manifest.weight_files), "view": in_full}
    write_json(folder / VALIDATION, validation)
    write_card_files(view, folder, manifest, validation)
    attest.write_bom(view, folder, manifest)
    attest.write_provenance(view, folder, manifest)
    manifest.completed(view.source.model, view.digest, describe(folder)).save(folder)

"""The stages of a build, each from files to files; `tasks` says when they run.

fetch -> (calibrate) plan -> convert -> (reference) validate -> card -> bom, provenance -> manifest -> (sign)

`attesting` has bom and provenance, `signing` the last.
"""

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from voxbuild.artifact.attest import Attested, attest_view
from voxbuild.artifact.lock import LOCK, refuse_difference, refuse_drift
from voxbuild.artifact.manifest import (
    DESCRIPTIVE,
    MANIFEST,
    VALIDATION,
    Manifest,
    describe,
    file_entry,
    read_validation,
)
from voxbuild.artifact.tools import runtime_versions, tool_versions
from voxbuild.artifact.variant import view_name
from voxbuild.card.check import check_card
from voxbuild.card.render import check_template, write_card_files
from voxbuild.card.siblings import read_record
from voxbuild.convert.conversion import Making, plan_artifact
from voxbuild.convert.views import check_view, write_view
from voxbuild.plan.requirements import check_disk
from voxbuild.recipes.book import Book
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.clips import read_clips
from voxbuild.sources.fetch import Fetched, fetch
from voxbuild.tensors.calibrate import calibrate
from voxbuild.tensors.moments import save_moments
from voxbuild.validate.measure import Heard, fidelity, gates_table, listen, report
from voxrun.device import device_name

from .console import progress_bar
from .errors import ValidationError
from .files import read_json, write_json
from .folders import Journal, whole_folder
from .workspace import Workspace


def fetch_source(work: Workspace, source: Source) -> None:
    """Have the source's files, checked; write what was found."""
    total = sum(file.size or 0 for file in source.files)
    with progress_bar("check " + source.name, total, "B") as bar:
        fetched = fetch(source, work.recipes / "sources", bar.update)
    fetched.save(work.source_file(source.name))


def calibrate_source(work: Workspace, source: Source, book: Book, clips: str) -> None:
    """Write how much each input of each matrix matters to the unquantized source in a clip set."""
    folder = Fetched.load(work.source_file(source.name)).folder
    members = read_clips(book.clips[clips], work.clips)
    with progress_bar(f"calibrate {clips}", len(members), "clip") as bar:
        moments = calibrate(folder, [clip.path for clip in members], bar.update)
    save_moments(work.moments_file(source.name, clips), moments)


def write_plan(work: Workspace, source: Source, recipe: Recipe, lock: Path | None = None) -> None:
    """Write all that decides about the artifact's bytes: convert runs again if and only if it changed.

    Raises LockError if that is not what `lock` says, or (None) if the artifact that is there has a lock and
    was built from other source files.
    """
    check_template(work.cards, recipe)  # now, not after an hour of converting
    plan = plan_artifact(work, source, recipe)
    making = Making(work, source, recipe, plan)
    own = work.artifact(source.name, recipe.name) / LOCK
    if lock:
        refuse_difference(lock, making.lock)
    elif own.is_file():
        refuse_drift(own, making.lock)
    write_json(work.plan_file(source.name, recipe.name), making.decisive)


def convert_artifact(work: Workspace, source: Source, recipe: Recipe) -> str:
    """Convert into a temporary folder, then move it whole; return the digest of the weights' files.

    A run that was stopped is gone on with: shards that were whole are kept.
    """
    making = Making(work, source, recipe, plan_artifact(work, source, recipe))
    journal = Journal(work.partial(source.name, recipe.name), making.identity)
    with whole_folder(work.artifact(source.name, recipe.name), journal.folder, journal):
        manifest = making.all_files(journal)
        manifest.save(journal.folder)
    return manifest.weight_digest


def transcribe_reference(work: Workspace, source: Source, book: Book, clips: str) -> None:
    """Write what the unquantized source hears in a clip set: what its artifacts are compared with."""
    folder = Fetched.load(work.source_file(source.name)).folder
    members = read_clips(book.clips[clips], work.clips)
    with progress_bar(f"reference {clips}", len(members), "clip") as bar:
        heard = listen(folder, members, bar.update)
    write_json(work.reference_file(source.name, clips), {n: asdict(h) for n, h in heard.items()})


def validate_artifact(work: Workspace, source: Source, recipe: Recipe, book: Book) -> str:
    """Transcribe the clips with the artifact, write validation.json, return the table of gates.

    Raises ValidationError with the table if a gate is not passed; the artifact stays, marked unvalidated.
    What is heard are the manifest's own files: raises VoxbuildError if others lie there.
    """
    folder = work.artifact(source.name, recipe.name)
    manifest = Manifest.load(folder).unvalidated()
    manifest.save(folder)  # until the gates are passed
    if damaged := manifest.damaged(folder):
        (folder / MANIFEST).unlink()  # so that it is
        raise ValidationError(f"{folder}: not as it was converted: {', '.join(damaged)}; build it again")
    manifest.refuse_strangers(folder, DESCRIPTIVE)
    sets = book.clip_sets(source, recipe)
    clips = {name: read_clips(clip_set, work.clips) for name, clip_set in sets.items()}
    everything = [clip for members in clips.values() for clip in members]
    reference = _read_reference(work, source, sets)
    with progress_bar("validate " + recipe.name, 2 * len(everything), "clip") as bar:
        heard = listen(folder, everything, bar.update)
        origin = Fetched.load(work.source_file(source.name)).folder
        near = fidelity(folder, origin, everything, reference, bar.update)
    result = report(clips, heard, reference, near, _gates(source, recipe))
    result |= {"artifact": manifest.weight_files, "runtime": runtime_versions() | {"device": device_name()}}
    write_json(folder / VALIDATION, result)
    table = gates_table(result)
    if not result["passed"]:
        raise ValidationError(
            f"{recipe.name} over {source.name} does not pass its gates; "
            f"{folder} stays, unvalidated, and cannot be published\n{table}"
        )
    return table


def _gates(source: Source, recipe: Recipe) -> Gates:
    return recipe.validation.gates.stricter(source.gates)


def _read_reference(work: Workspace, source: Source, names: Iterable[str]) -> dict[str, Heard]:
    heard: dict[str, Heard] = {}
    for name in names:
        stored = read_json(work.reference_file(source.name, name))
        heard |= {clip: Heard(**entry) for clip, entry in stored.items()}
    return heard


def write_card(work: Workspace, source: Source, recipe: Recipe, book: Book) -> None:
    """Write the card and what goes with it, from the manifest, the validation and the record of siblings."""
    folder = work.artifact(source.name, recipe.name)
    validation = read_validation(folder)
    write_card_files(work, folder, source, recipe, book, Manifest.load(folder), validation)


def finish_manifest(work: Workspace, source: Source, recipe: Recipe, book: Book) -> None:
    """Add what describes it to the manifest and mark the artifact validated.

    Raises ValidationError if what was validated is not what is there, or not what the card says.
    """
    folder = work.artifact(source.name, recipe.name)
    first = Manifest.load(folder)
    validation = read_validation(folder)
    if not validation["passed"] or validation["artifact"] != first.weight_files:
        raise ValidationError(f"{folder}: {VALIDATION} is not a passed one of these very files")
    manifest = first.completed(book.digest(source, recipe), describe(folder))
    manifest.refuse_strangers(folder)
    if wrong := check_card(folder, manifest, validation, read_record(work.siblings_file(source.name))):
        raise ValidationError(f"{folder}: the card does not say what was measured: {'; '.join(wrong)}")
    manifest.save(folder)


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

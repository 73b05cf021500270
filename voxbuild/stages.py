"""The stages of a build, each from files to files; `tasks` says when they run.

fetch -> (calibrate) plan -> convert -> (reference) validate -> card -> manifest
"""

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

import voxrun
from voxrun.config import read_json as read_params
from voxrun.device import device_name
from voxrun.tokenizer import TOKENIZER_FILE
from voxrun.weights import INDEX

from . import __version__
from .calibrate import calibrate, check_moments, load_moments, save_moments
from .card import check_template, render_card
from .checkpoint import Checkpoint
from .clips import read_clips
from .convert import check_space, convert
from .errors import ConvertError, ValidationError
from .fetch import Fetched, fetch
from .manifest import CARD, VALIDATION, Manifest, file_entry
from .plan import Plan, make_plan
from .recipe import Book, Gates, Recipe, Source
from .report import gates_table, plan_table
from .search import Moments
from .validate import Heard, fidelity, listen, report
from .workspace import Workspace, read_json, sha256_of, write_json, write_text


def fetch_source(work: Workspace, source: Source) -> None:
    """Have the source's files, checked; write what was found."""
    total = sum(file.size or 0 for file in source.files)
    with _bar("check " + source.name, total, "B") as bar:
        fetched = fetch(source, work.recipes / "sources", bar.update)
    fetched.save(work.source_file(source.name))


def calibrate_source(work: Workspace, source: Source, book: Book, clips: str) -> None:
    """Write how much each input of each matrix matters to the unquantized source in a clip set."""
    folder = Fetched.load(work.source_file(source.name)).folder
    members = read_clips(book.clips[clips], work.clips)
    with _bar(f"calibrate {clips}", len(members), "clip") as bar:
        moments = calibrate(folder, members, bar.update)
    save_moments(work.moments_file(source.name, clips), moments)


def plan_artifact(work: Workspace, source: Source, recipe: Recipe) -> Plan:
    """Make the plan of a recipe from the source's header. Raises PlanError, CheckpointError."""
    folder = Fetched.load(work.source_file(source.name)).folder
    params = read_params(folder / source.params)
    with Checkpoint(folder / source.weights) as checkpoint:
        return make_plan(recipe, checkpoint.tensors.values(), params)


def write_plan(work: Workspace, source: Source, recipe: Recipe) -> None:
    """Write all that decides about the artifact's bytes: convert runs again if and only if it changed."""
    check_template(work.cards, recipe)  # now, not after an hour of converting
    plan = plan_artifact(work, source, recipe)
    fetched = Fetched.load(work.source_file(source.name))
    decisive = {
        "plan": plan.digest(),
        "source": fetched.identity(),
        "tools": tool_versions(),
        **_calibration(work, source, recipe),
    }
    write_json(work.plan_file(source.name, recipe.name), decisive)


def _calibration(work: Workspace, source: Source, recipe: Recipe) -> dict[str, Any]:
    """What a recipe was calibrated with, if it was."""
    if recipe.calibrate is None:
        return {}
    moments = work.moments_file(source.name, recipe.calibrate)
    return {"calibration": {"clips": recipe.calibrate, "sha256": sha256_of(moments)}}


def _moments(work: Workspace, source: Source, recipe: Recipe, plan: Plan) -> Moments:
    """Those of all matrices of the plan that are searched for with them."""
    path = work.moments_file(source.name, recipe.calibrate) if recipe.calibrate else None
    moments = load_moments(path) if path else {}
    check_moments(plan, moments)
    return moments


def show_plan(work: Workspace, source: Source, recipe: Recipe) -> str:
    """The plan as a table."""
    return plan_table(plan_artifact(work, source, recipe))


def convert_artifact(work: Workspace, source: Source, recipe: Recipe) -> str:
    """Convert into a temporary folder, then move it whole; return the digest of the weights' files."""
    plan = plan_artifact(work, source, recipe)
    fetched = Fetched.load(work.source_file(source.name))
    with _whole_folder(work, source.name, recipe.name) as folder:
        check_space(folder, plan)
        weights = fetched.folder / source.weights
        with (
            Checkpoint(weights) as checkpoint,
            _bar("convert " + recipe.name, weights.stat().st_size, "B") as bar,
        ):
            moments = _moments(work, source, recipe, plan)
            hashes = convert(plan, checkpoint, folder, bar.update, moments)
        write_json(folder / "config.json", dict(plan.config))
        write_json(folder / INDEX, plan.index())
        shutil.copyfile(fetched.folder / source.tokenizer, folder / TOKENIZER_FILE)
        manifest = _first_manifest(source, recipe, plan, fetched, folder, hashes)
        manifest.recipe.update(_calibration(work, source, recipe))
        manifest.save(folder)
    return manifest.weight_digest


def _first_manifest(
    source: Source,
    recipe: Recipe,
    plan: Plan,
    fetched: Fetched,
    folder: Path,
    hashes: dict[str, str],
) -> Manifest:
    shards = {n: {"size": (folder / n).stat().st_size, "sha256": h} for n, h in hashes.items()}
    small = ("config.json", INDEX, TOKENIZER_FILE)
    return Manifest(
        variant=recipe.name,
        model=source.model,
        source={
            "name": source.name,
            **(source.hub.model_dump() if source.hub else {}),
            "files": fetched.identity(),
        },
        recipe={"name": recipe.name},
        tools=tool_versions(),
        device="cpu",
        parameters=plan.parameters,
        bits_per_weight=round(plan.bits_per_weight, 4),
        files=shards | {name: file_entry(folder / name) for name in small},
        validated=False,
    )


def transcribe_reference(work: Workspace, source: Source, book: Book, clips: str) -> None:
    """Write what the unquantized source hears in a clip set: what its artifacts are compared with."""
    folder = Fetched.load(work.source_file(source.name)).folder
    members = read_clips(book.clips[clips], work.clips)
    with _bar(f"reference {clips}", len(members), "clip") as bar:
        heard = listen(folder, members, bar.update)
    write_json(work.reference_file(source.name, clips), {n: asdict(h) for n, h in heard.items()})


def validate_artifact(work: Workspace, source: Source, recipe: Recipe, book: Book) -> str:
    """Transcribe the clips with the artifact, write validation.json, return the table of gates.

    Raises ValidationError with the table if a gate is not passed; the artifact stays, marked unvalidated.
    """
    folder = work.artifact(source.name, recipe.name)
    manifest = Manifest.load(folder).unvalidated()
    manifest.save(folder)  # until the gates are passed
    if damaged := manifest.damaged(folder):
        raise ValidationError(f"{folder}: not as it was converted: {', '.join(damaged)}; build it again")
    sets = book.clip_sets(source, recipe)
    clips = {name: read_clips(clip_set, work.clips) for name, clip_set in sets.items()}
    everything = [clip for members in clips.values() for clip in members]
    reference = _read_reference(work, source, sets)
    with _bar("validate " + recipe.name, 2 * len(everything), "clip") as bar:
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
    """Fill the card's template from the manifest and the validation."""
    folder = work.artifact(source.name, recipe.name)
    validation = read_json(folder / VALIDATION)
    recipe_text = (work.recipes / f"{recipe.name}.yaml").read_text(encoding="utf-8")
    card = render_card(work.cards, source, recipe, book, Manifest.load(folder), validation, recipe_text)
    write_text(folder / CARD, card)


def finish_manifest(work: Workspace, source: Source, recipe: Recipe, book: Book) -> None:
    """Add card and validation to the manifest and mark the artifact validated.

    Raises ValidationError if what was validated is not what is there.
    """
    folder = work.artifact(source.name, recipe.name)
    first = Manifest.load(folder)
    validation = read_json(folder / VALIDATION)
    if not validation["passed"] or validation["artifact"] != first.weight_files:
        raise ValidationError(f"{folder}: {VALIDATION} is not a passed one of these very files")
    described = {name: file_entry(folder / name) for name in (VALIDATION, CARD)}
    first.completed(book.digest(source, recipe), described).save(folder)


def tool_versions() -> dict[str, str]:
    """The versions that an artifact's bytes may depend on."""
    return {"voxbuild": __version__, **_versions("mlx", "numpy")}


def runtime_versions() -> dict[str, str]:
    """The versions that what is heard, and how it is scored, may depend on."""
    libraries = ("mlx", "numpy", "mistral-common", "soundfile", "soxr", "jiwer")
    return {"voxrun": voxrun.__version__, **_versions(*libraries)}


def _versions(*distributions: str) -> dict[str, str]:
    return {name: version(name) for name in distributions}


@contextmanager
def _whole_folder(work: Workspace, source: str, recipe: str) -> Iterator[Path]:
    """A folder that takes the artifact's place when all went well, and is gone when not."""
    partial = work.partial(source, recipe)
    old = partial.with_name(f"{partial.name}.old")
    _remove(partial, old)  # what a killed run left
    partial.mkdir(parents=True)
    try:
        yield partial
        _replace(work.artifact(source, recipe), partial, old)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ConvertError(f"{work.out}: the disk is full; make room and run it again") from error
        raise
    finally:
        _remove(partial, old)


def _replace(final: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `final`, which waits as `old` until that has worked."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        final.rename(old)
    try:
        new.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _bar(label: str, total: int, unit: str) -> Any:
    """A progress bar on stderr; none where that is no terminal."""
    return tqdm(total=total or None, desc=label, unit=unit, unit_scale=unit == "B", disable=None, leave=False)

"""`doit diff` compares two artifacts; `doit reproduce` compares an artifact with a new conversion."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxbuild.artifact.lock import LOCK, read_lock, source_drift, tool_drift
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.console import markdown, progress_bar
from voxbuild.convert.conversion import Conversion
from voxbuild.errors import VoxbuildError
from voxbuild.folders import Journal, alone

from .compare import Comparison, as_text, compare, stored_bytes
from .weights import Artifact


def diff(folders: Sequence[Path], names: Sequence[str], form: str) -> tuple[bool, str]:
    """Whether two artifacts are equal, and how they differ: as a `table`, or as `json`, see Comparison.

    Raises VoxbuildError or VoxrunError if one of them is missing or cannot be read.
    """
    for folder in folders:
        if not folder.is_dir():
            raise VoxbuildError(f"{folder}: there is no artifact; name a folder, or a recipe that is built")
    found = _compared(folders[0], folders[1], (names[0], names[1]))
    text = json.dumps(found.as_json(), indent=2, allow_nan=False) if form == "json" else as_text(found)
    return found.equal, text


def _compared(one: Path, other: Path, names: tuple[str, str]) -> Comparison:
    with Artifact(one) as a, Artifact(other) as b, progress_bar("compare", stored_bytes(a, b), "B") as bar:
        return compare(a, b, names, bar.update)


def reproduce(variant: Variant) -> None:
    """Convert an artifact's weights again and print, for each file, whether its hash is the manifest's.

    Raises VoxbuildError if the artifact is not built, or if a file differs; then the differing tensors,
    source files and tools are printed.
    """
    folder = variant.folder
    if not variant.is_built:
        raise VoxbuildError(f"{folder}: not built; run `{variant.build_command}` first")
    built = Manifest.load(folder)
    with _clean_folder(variant.work.again(variant.source.name, variant.recipe.name)) as place:
        conversion = Conversion.of(variant)
        journal = Journal(place / "again", conversion.identity)
        journal.folder.mkdir()
        again = conversion.write_rest(journal, conversion.write_weights(journal))
        rows = _rows(built, again)
        print(markdown(rows, ["file", "bytes", ""]))
        differing = [row[0] for row in rows if row[2] != "same"]
        if differing:
            print("\n".join(["", *_reasons(folder, journal.folder, differing)]))
        if differing and _is_comparable(built, again):
            print(f"\n{variant.name}: {_compared_instead(built, again)}")
            return
    if differing:
        raise VoxbuildError(f"{variant.name}: {len(differing)} of {len(rows)} files are not the same")


@contextmanager
def _clean_folder(place: Path) -> Iterator[Path]:
    """An empty folder that is deleted afterwards, even after an error."""
    with alone(place):
        shutil.rmtree(place, ignore_errors=True)  # left by a killed run
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _rows(built: Manifest, again: Manifest) -> list[tuple[str, str, str]]:
    """Each file, its size in the built artifact, and whether the new one is the same."""
    was, now = built.weight_files, again.weight_files
    return [
        (
            name,
            f"{was[name].size:,}" if name in was else "-",
            "same" if was.get(name) == now.get(name) else _change(name in was, name in now),
        )
        for name in sorted(was.keys() | now.keys())
    ]


def _is_comparable(built: Manifest, again: Manifest) -> bool:
    """Whether only the machine can differ: the same bytes were promised on one machine only."""
    made_of = [(m.source, m.tools, m.recipe.get("name"), m.recipe.get("calibration")) for m in (built, again)]
    return "reproducible" in built.recipe.get("rounding", {}) and made_of[0] == made_of[1]


def _compared_instead(built: Manifest, again: Manifest) -> str:
    was, now = (m.recipe["rounding"] for m in (built, again))
    moments = "the same" if was.get("moments") == now.get("moments") else "others"
    return (
        f"the same bytes are promised {was['reproducible']}; source, recipe, calibration and tools are the"
        f" same, the moments are {moments}"
    )


def _change(was: bool, now: bool) -> str:
    return "DIFFERS" if was and now else "NOT MADE AGAIN" if was else "NOT THERE BEFORE"


def _reasons(folder: Path, place: Path, differing: list[str]) -> Iterator[str]:
    """The differences: source files and tools in the locks, tensors by their values."""
    now = read_lock(place / LOCK)
    if (folder / LOCK).is_file():
        was = read_lock(folder / LOCK)
        yield from (f"source: {phrase}" for phrase in source_drift(was, now))
        yield from (f"tools: {phrase}" for phrase in tool_drift(was, now))
    else:
        yield f"tools: unknown, because {folder / LOCK} is missing"
    if any(name.endswith((".safetensors", ".json")) for name in differing):
        yield as_text(_compared(folder, place, ("as built", "made again")))

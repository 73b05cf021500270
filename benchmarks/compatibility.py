"""Which loader reads which variant: each loads it in a process of its own and transcribes the same clip.

    python benchmarks/compatibility.py docs/compatibility.md

`doit compatibility` runs it. All variants over the embedded model must be built. An environment is made for
each peer on the first run. What a loader cannot read is not tried; one that fails is a cell that says so.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from environments import PINNED, python_of, python_of_transformers
from runs import ROOT, Peer, tell

from voxbuild.artifact.manifest import MANIFEST
from voxbuild.artifact.variant import Variant
from voxbuild.console import markdown
from voxbuild.convert.conversion import Conversion
from voxbuild.plan.compatibility import first_fault
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS, Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.workspace import Workspace

OURS = "voxrun"
SOURCE = "tiny"
CLIP = ROOT / "tiny" / "clips" / "prompts" / "vm-tempgreeting.flac"
DEFAULT_EXTRA = "" if sys.platform == "darwin" else "cpu"
TIMEOUT = 600
HEAD = """\
# Compatibility

Written by `doit compatibility`: every variant of the embedded model, loaded by each program in a process of
its own, which then transcribes `{clip}`.

{versions}

- `equal`: it loaded the variant and heard what voxrun hears; that stands in voxrun's column.
- `(view)`: it read `out/{source}/VARIANT.LOADER/`, the variant's view for it; otherwise the artifact itself.
- `no`: it cannot read this variant, by its rules in `voxbuild/recipes/loaders.py`.

"""


@dataclass(frozen=True)
class Cell:
    """What came of a variant and a loader."""

    said: str
    note: str = ""


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path)
    p.add_argument("--only", nargs="+", metavar="RECIPE", help="these recipes only")
    p.add_argument("--envs", type=Path, default=ROOT / "benchmarks/.envs", help="where environments are made")
    p.add_argument("--mlx-extra", default=DEFAULT_EXTRA, help="MLX's backend: cpu, cuda13 or nothing")
    for name in LOADERS:
        p.add_argument(f"--{name}-python", type=Path, help="an environment that is there already")
    return p.parse_args()


def peers(args: argparse.Namespace) -> dict[str, Peer]:
    """All loaders, ours first, each asked who it is."""
    make: dict[str, Callable[[], Path]] = {
        name: partial(python_of, name, args.envs, args.mlx_extra) for name in PINNED
    }
    make["transformers"] = partial(python_of_transformers, args.envs)
    everyone = {OURS: Peer(OURS, Path(sys.executable))}
    for name in LOADERS:
        try:
            given = getattr(args, f"{name.replace('-', '_')}_python")
            everyone[name] = Peer(name, given or make[name]())
        except (subprocess.CalledProcessError, OSError) as error:
            everyone[name] = Peer(name, Path(), f"no environment: {error}")
    for peer in everyone.values():
        run = peer.run("about", timeout=TIMEOUT)
        peer.versions, peer.error = run.figures, run.error
    return everyone


def heard(peer: Peer, folder: Path) -> tuple[str | None, str]:
    """What a peer hears in the clip with the model in a folder, or why it does not."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    run = peer.run("transcribe", "--model", folder, "--audio", CLIP, timeout=TIMEOUT, environment=offline)
    return run.figures.get("text"), run.error


def cell(artifact: Variant, loader: Loader, peer: Peer, fault: str | None, ours: str | None) -> Cell:
    """One loader over one variant."""
    if fault:
        return Cell("no", fault)
    if loader.name not in artifact.recipe.dialects:
        return Cell("not asked for", f"it could; `dialects:` does not say {loader.name}")
    folder = artifact.folder if loader.reads_the_artifact else replace(artifact, loader=loader).folder
    text, error = heard(peer, folder)
    through = "" if loader.reads_the_artifact else " (view)"
    if text is None:
        return Cell(f"fails{through}", error)
    return Cell(f"equal{through}") if text == ours else Cell(f"differs{through}", f"it hears {text!r}")


def row(work: Workspace, recipe: Recipe, everyone: dict[str, Peer]) -> list[Cell]:
    """All loaders over one variant."""
    tell(recipe.name)
    book = read_book(work.recipes)
    artifact = Variant(work, book, book.source(SOURCE), recipe)
    ours, error = heard(everyone[OURS], artifact.folder)
    plan = Conversion.of(artifact).plan
    cells = [Cell("fails", error) if ours is None else Cell(f"“{ours}”")]
    for loader in LOADERS.values():
        fault = first_fault(loader, recipe, plan)
        cells.append(cell(artifact, loader, everyone[loader.name], fault, ours))
    return cells


def document(rows: dict[str, list[Cell]], everyone: dict[str, Peer]) -> str:
    """The table, and the notes under it; equal notes are one."""
    notes: list[str] = []
    lines = []
    for name, cells in rows.items():
        line = [name]
        for loader, c in zip(everyone, cells, strict=True):
            note = f"{loader}: {c.note}"
            if c.note and note not in notes:
                notes.append(note)
            line.append(f"{c.said} [{notes.index(note) + 1}]" if c.note else c.said)
        lines.append(line)
    table = markdown(lines, ["variant", *everyone])
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    versions = "; ".join(_versions(peer) for peer in everyone.values())
    head = HEAD.format(clip=CLIP.relative_to(ROOT), versions=f"{versions}.", source=SOURCE)
    return f"{head}{table}\n\n{listed}\n"


def _versions(peer: Peer) -> str:
    if peer.error:
        return f"{peer.name} {peer.error}"
    backend = next(f"{b} {peer.versions[b].split('+')[0]}" for b in ("mlx", "torch") if b in peer.versions)
    return f"{peer.name} {peer.versions['version']} ({backend}, {peer.versions['device']})"


def main() -> None:
    """Measure, and write the document."""
    args = parsed()
    work = Workspace(ROOT)
    recipes = read_book(work.recipes).recipes
    if args.only:
        recipes = {name: read_book(work.recipes).recipe(name) for name in args.only}
    if missing := [name for name in recipes if not (work.artifact(SOURCE, name) / MANIFEST).is_file()]:
        sys.exit(f"not built: {', '.join(missing)}; run `doit build source={SOURCE}` first")
    everyone = peers(args)
    rows = {name: row(work, recipe, everyone) for name, recipe in recipes.items()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(document(rows, everyone), encoding="utf-8")
    print(f"{args.out}: {len(rows)} variants, {len(everyone)} loaders")


if __name__ == "__main__":
    main()

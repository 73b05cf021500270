"""Size against KL of every recipe over tiny, as a picture.

    doit build source=tiny
    python benchmarks/frontier.py docs/frontier.svg

The variants that no other one is both smaller and nearer than are highlighted and joined by a line. Prints
what each of the others is behind.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runs import ROOT

from voxbuild.artifact.manifest import MANIFEST, VALIDATION, Manifest, plain
from voxbuild.card.frontier import Point, best, draw
from voxbuild.files import read_json
from voxbuild.recipes.book import read_book
from voxbuild.statistics.estimate import Estimate
from voxbuild.workspace import Workspace

SOURCE = "tiny"


def point(work: Workspace, recipe: str) -> Point:
    """A variant as it was validated. Leaves the program if it was not, or if its weights changed since."""
    folder = work.artifact(SOURCE, recipe)
    if not ((folder / MANIFEST).is_file() and (folder / VALIDATION).is_file()):
        sys.exit(f"{recipe} is not built and validated: run `doit build source={SOURCE}` first")
    manifest, validation = Manifest.load(folder), read_json(folder / VALIDATION)
    if validation["artifact"] != plain(manifest.weight_files):
        sys.exit(f"{folder}: {VALIDATION} is of other weights: run `doit build source={SOURCE}` first")
    kl = Estimate.of(validation["fidelity"]["kl_mean"])
    return Point(recipe, manifest.weight_bytes, kl.value, kl.interval)


def behind(points: Sequence[Point]) -> list[str]:
    """A line for each variant off the line, with the nearest of those that are at most as large."""
    line = best(points)
    found = []
    for each in sorted(set(points) - set(line), key=lambda p: (p.megabytes, p.name)):
        ahead = [p for p in line if p.megabytes <= each.megabytes and p.kl <= each.kl]
        if ahead:
            found.append(f"{each.name} ({each.megabytes:g} MB, KL {each.kl:.5f}) is behind {ahead[-1].name}")
    return found


def main() -> None:
    """Read what was built, and write the picture."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path)
    out, work = p.parse_args().out, Workspace(ROOT)
    points = [point(work, recipe) for recipe in read_book(work.recipes).recipes]
    out.write_bytes(draw(points, {each.name for each in best(points)}))
    print("\n".join([*behind(points), f"{out}: {len(points)} variants"]))


if __name__ == "__main__":
    main()

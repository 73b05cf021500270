"""voxbuild beside `cp`, `dd`, voxmlx-convert and mlx-audio's convert, at full size: time, memory, ratios.

    python benchmarks/make_checkpoint.py DIR
    python benchmarks/make_checkpoint.py SMALL --layers 1
    python benchmarks/build.py DIR --small SMALL [--sections peers limits together variants] --out FILE

How each is run: benchmarks/build_runs.py.
"""

import argparse
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

from build_runs import CAN_FORGET, PEERS, WEIGHTS, Place, cp, dd, prepare, voxbuild
from environments import PINNED, machine, python_of
from figures import Column, megabytes, seconds, table
from runs import ROOT, Contestant, rounds

from voxbuild.recipes.book import read_book

OURS = "voxbuild"
COLUMNS = [
    seconds("time", "wall_s", ratio=True),
    Column("processor time, s", "cpu_s", ratio=True),
    megabytes("peak memory", "peak_bytes", ratio=True),
]
SECTIONS = ("peers", "limits", "together", "variants")
ONE_READ = ("4bit", "6bit", "8bit")
"""Recipes that are built by one command."""
IS_DIRECT = sys.platform == "linux"
"""Whether voxbuild and `dd` can write past the page cache."""


def side_by_side(place: Place, args: argparse.Namespace) -> str:
    """Everyone makes the 4-bit artifact."""
    each = [
        Contestant("cp", partial(cp, place)),
        Contestant(OURS, partial(voxbuild, place, "4bit")),
        Contestant(f"{OURS}, hash known", partial(voxbuild, place, "4bit", known=True)),
    ]
    for name in args.peers:
        given = {"voxmlx": args.voxmlx_python, "mlx-audio": args.mlx_audio_python}[name]
        python = given or python_of(name, args.envs, args.mlx_extra)
        each.append(Contestant(name, partial(PEERS[name], place, python.absolute())))
    voxbuild(place, "4bit", source="tiny")  # does not count: kernels are compiled and kept
    size = (place.source / WEIGHTS).stat().st_size / 1e6
    about = f"4 bits, groups of 64, of {size:,.0f} MB; `cp` copies the source."
    return f"## Beside cp and the peers\n\n{about}\n\n{table(COLUMNS, rounds('4bit', each, args.repeat))}"


def limits(place: Place, args: argparse.Namespace) -> str:
    """The hash of the source is known: beside `dd`; three recipes in one read beside one; memory."""
    three = ",".join(ONE_READ)
    known = partial(voxbuild, place, known=True)
    each = [
        Contestant("dd", partial(dd, place, "4bit")),
        *([Contestant("dd, direct", partial(dd, place, "4bit", direct=True))] if IS_DIRECT else []),
        Contestant("4bit", partial(known, "4bit")),
        *(Contestant(name, partial(known, name)) for name in ONE_READ if name != "4bit"),
        Contestant(three, partial(known, three)),
        Contestant("4bit, of tiny", partial(known, "4bit", source="tiny")),
    ]
    known(three, source="tiny")  # does not count: kernels are compiled and kept
    about = (
        "The source's hash is known. `dd` reads the source, then writes and flushes as many bytes as the"
        f" 4-bit artifact has; direct: past the page cache, as voxbuild writes on Linux."
        f" {three} is one command, which reads the source once. A build of the embedded"
        " model, of a few MB, has the interpreter, our modules and the compiled loops, and hardly any data:"
        " what the others have beyond its memory is chunks of rows and scales."
    )
    return f"## Beside the limit\n\n{about}\n\n{table(COLUMNS, rounds('limits', each, args.repeat))}"


def together(place: Place, args: argparse.Namespace) -> str:
    """Three recipes in one read beside one, under the conditions that users meet."""
    tables = [
        _one_and_three("The hash known, the source in the page cache", place, args, known=True),
        _one_and_three("The hash proven on the way, the source in the page cache", place, args, known=False),
    ]
    if CAN_FORGET:
        cold = place.cold
        tables += [
            _one_and_three("The hash known, nothing of the source in the page cache", cold, args, known=True),
            _one_and_three(
                "The hash proven on the way, nothing of the source there", cold, args, known=False
            ),
        ]
    if args.small:
        small = Place(args.small.resolve(), args.memory)
        prepare(small)
        size = (small.source / WEIGHTS).stat().st_size / 1e6
        title = f"Written to memory ({size:,.0f} MB, the hash known, the source in the page cache)"
        tables.append(_one_and_three(title, small, args, known=True))
        shutil.rmtree(small.work)
    about = (
        f"{','.join(ONE_READ)} is one command, which reads the source once; ratios are to 4bit alone. The"
        " rows of `dd` are what reading the source, and writing and flushing as many bytes, takes by itself."
    )
    return "\n\n".join(["## Three recipes in one read", about, *tables])


def _one_and_three(title: str, place: Place, args: argparse.Namespace, *, known: bool) -> str:
    one, three = ONE_READ[0], ",".join(ONE_READ)
    each = [Contestant(name, partial(voxbuild, place, name, known=known)) for name in (one, three)]
    for recipes in (ONE_READ[:1], ONE_READ):
        go = partial(dd, place, *recipes, direct=IS_DIRECT)
        each.append(Contestant(f"dd of {','.join(recipes)}", go))
    return f"### {title}\n\n{table(COLUMNS[:2], rounds(title, each, args.repeat))}"


def variants(place: Place, args: argparse.Namespace) -> str:
    """Every recipe beside 4bit, but those that must hear clips first: random weights hear nothing."""
    recipes = read_book(place.work / "recipes").recipes.values()
    names = sorted((r.name for r in recipes if not r.calibrate), key=lambda name: (name != "4bit", name))
    for name in names:
        voxbuild(place, name, source="tiny")  # does not count: kernels are compiled and kept
    each = [Contestant(name, partial(voxbuild, place, name)) for name in names]
    return f"## Every recipe\n\n{table(COLUMNS, rounds('variants', each, args.repeat_variants))}"


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source", type=Path, help="a checkpoint as make_checkpoint.py writes it")
    p.add_argument("--small", type=Path, help="a smaller one, whose artifacts fit into memory")
    p.add_argument("--memory", type=Path, default=Path("/dev/shm/voxbuild"), help="where they are made")
    p.add_argument("--repeat", type=int, default=3, help="rounds (default: 3)")
    p.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS[:2]), help="which tables")
    p.add_argument("--repeat-variants", type=int, default=1, help="rounds of those (default: 1)")
    p.add_argument("--peers", nargs="*", choices=PINNED, default=list(PINNED))
    p.add_argument("--envs", type=Path, default=ROOT / "benchmarks/.envs", help="where environments are made")
    p.add_argument("--work", type=Path, default=ROOT / "benchmarks/.work/build", help="30 GB are needed")
    p.add_argument("--mlx-extra", default="" if sys.platform == "darwin" else "cpu")
    p.add_argument("--voxmlx-python", type=Path, help="an environment that is there already")
    p.add_argument("--mlx-audio-python", type=Path)
    p.add_argument("--out", type=Path, help="write the Markdown there, too")
    return p.parse_args()


def header() -> str:
    """Title, command, machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = f"`python benchmarks/build.py {shlex.join(words)}`"
    legend = "Medians (least-most) of interleaved rounds; ratios are to the first row, within rounds."
    return f"# Building side by side\n\n{command}\n\nMachine: {machine()}. {legend}"


def main() -> None:
    """Measure, and print each table as soon as it is there."""
    args = parsed()
    place = Place(args.source.resolve(), args.work.resolve())
    prepare(place)
    document = [header()]
    sections = {"peers": side_by_side, "limits": limits, "together": together, "variants": variants}
    for name in args.sections:
        section = sections[name]
        document.append(section(place, args))
        print(document[-1], flush=True)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text("\n\n".join(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

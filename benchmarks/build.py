"""voxbuild beside `cp`, `dd`, voxmlx-convert and mlx-audio's convert, at full size: time, memory, ratios.

    python benchmarks/make_checkpoint.py DIR
    python benchmarks/build.py DIR [--sections peers limits variants] --out docs/benchmarks/build.md

Each run is a fresh process, its source in the page cache, its output removed afterwards. Time is from the
start of the process to its end, memory the most that was resident, as the operating system tells it.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from environments import PINNED, machine, python_of
from figures import Column, megabytes, seconds, table
from runs import ROOT, Contestant, Run, rounds, tell

from voxbuild.convert.views import CONFIG, small_files
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import MLX_AUDIO_LOADER
from voxbuild.sources.fetch import Proofs, fetch
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of

SOURCE = "full"
OURS = "voxbuild"
WEIGHTS = "consolidated.safetensors"
COLUMNS = [
    seconds("time", "wall_s", ratio=True),
    Column("processor time, s", "cpu_s", ratio=True),
    megabytes("peak memory", "peak_bytes", ratio=True),
]
READ_THROUGH = 2**24
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss, in bytes."""
COMMIT = "0" * 40
SECTIONS = ("peers", "limits", "variants")
ONE_READ = ("4bit", "6bit", "8bit")
"""Recipes that are built by one command."""


@dataclass(frozen=True)
class Place:
    """The source, a folder for everything that is made, and an output that every contestant makes anew."""

    source: Path
    work: Path

    @property
    def out(self) -> Path:
        """What a run writes."""
        return self.work / "out"

    def clear(self) -> None:
        """No output is there."""
        if self.out.is_file():
            self.out.unlink()
        shutil.rmtree(self.out, ignore_errors=True)

    def know_the_source(self) -> None:
        """Leave what a build leaves that has read the source to its end."""
        work = Workspace(self.work)
        source = read_book(work.recipes).source(SOURCE)
        fetched = fetch(source, work.recipes / "sources", lambda done: None)
        Proofs(work.proof_file(SOURCE), fetched, SOURCE).add(WEIGHTS, fetched.files[WEIGHTS].sha256)

    def run(self, *command: object, before: Callable[[], object] = tuple, **environment: str) -> Run:
        """One process over a source in the page cache, nothing there but what `before` makes."""
        self.clear()
        before()
        _warm(self.source / WEIGHTS)
        with tempfile.TemporaryFile() as said:
            begun = time.perf_counter()
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.work,
                env=os.environ | environment,
                stdout=said,
                stderr=said,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        self.clear()
        if process.returncode:
            return Run({}, f"{lines[-1][:200] if lines else 'failed'} (exit code {process.returncode})")
        peak = usage.ru_maxrss * PEAK_UNIT
        return Run({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": peak})


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(READ_THROUGH):
            pass


def cp(place: Place) -> Run:
    """The yardstick."""
    return place.run("cp", place.source / WEIGHTS, place.out)  # a file where the others make a folder


def dd(place: Place, recipe: str) -> Run:
    """The limit with the hash known: read the source, and write as many bytes as the artifact has."""
    source, block = shlex.quote(str(place.source / WEIGHTS)), 2**20
    count = -(-artifact_bytes(place, recipe) // block)
    read = f"dd if={source} of=/dev/null bs={block}"
    return place.run(
        "sh",
        "-ec",
        f"{read}; dd if={source} of={shlex.quote(str(place.out))} bs={block} count={count} conv=fsync",
    )


def artifact_bytes(place: Place, recipe: str) -> int:
    """The size of an artifact's weights."""
    params = json.loads((place.source / "params.json").read_text(encoding="utf-8"))
    with Checkpoint(place.source / WEIGHTS) as file:
        header = list(file.tensors.values())
    return make_plan(read_book(place.work / "recipes").recipe(recipe), header, params).nbytes


def voxbuild(place: Place, recipe: str, known: bool = False, source: str = SOURCE) -> Run:
    """As people call it: fetch, plan and convert, nothing known of the source but its pinned hash.

    If `known`, a build before had read the source, as it is now, and found that hash to be true.
    """
    (place.work / ".doit.db.json").unlink(missing_ok=True)
    command = (sys.executable, "-m", "doit", "convert", f"recipe={recipe}", f"source={source}")
    return place.run(*command, before=place.know_the_source if known else tuple)


def voxmlx(place: Place, python: Path) -> Run:
    """voxmlx-convert, from the Hub's cache: a folder it does not take."""
    options = ("--hf-path", "bench/full", "--mlx-path", place.out, "-q", "--bits", 4, "--group-size", 64)
    convert = python.with_name("voxmlx-convert")
    return place.run(convert, *options, HF_HOME=str(place.work / "hf"), HF_HUB_OFFLINE="1")


def mlx_audio(place: Place, python: Path) -> Run:
    """mlx-audio's convert, from a folder with a config.json of its kind."""
    options = ("--hf-path", place.work / "mlx-audio", "--mlx-path", place.out, "--model-domain", "stt")
    bits = ("-q", "--q-bits", 4, "--q-group-size", 64)
    return place.run(python, "-m", "mlx_audio.convert", *options, *bits, HF_HUB_OFFLINE="1")


PEERS: dict[str, Callable[[Place, Path], Run]] = {"voxmlx": voxmlx, "mlx-audio": mlx_audio}


def prepare(place: Place) -> None:
    """A project over the source; the source as a repository in the Hub's cache, and as mlx-audio wants it."""
    shutil.rmtree(place.work, ignore_errors=True)
    place.work.mkdir(parents=True)
    for name in ("recipes", "model_cards"):
        shutil.copytree(ROOT / name, place.work / name)
    shutil.copy(ROOT / "dodo.py", place.work)
    (place.work / "tiny").symlink_to(ROOT / "tiny")
    tell("hashing the source")
    digest = sha256_of(place.source / WEIGHTS)
    described = {
        "name": SOURCE,
        "model": "Full",
        "summary": "Random weights of the upstream's sizes.",
        "path": str(place.source),
        "files": [{"name": WEIGHTS, "sha256": digest}, {"name": "params.json"}, {"name": "tekken.json"}],
        "license": "apache-2.0",
        "languages": ["en"],
    }
    (place.work / f"recipes/sources/{SOURCE}.yaml").write_text(yaml.safe_dump(described))
    repository = place.work / "hf/hub/models--bench--full"
    _link(place.source, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
    _link(place.source, place.work / "mlx-audio")
    params = json.loads((place.source / "params.json").read_text(encoding="utf-8"))
    config = small_files(MLX_AUDIO_LOADER, params)[CONFIG]
    (place.work / "mlx-audio" / CONFIG).write_text(json.dumps(config))


def _link(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)


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
        Contestant("4bit", partial(known, "4bit")),
        *(Contestant(name, partial(known, name)) for name in ONE_READ if name != "4bit"),
        Contestant(three, partial(known, three)),
        Contestant("4bit, of tiny", partial(known, "4bit", source="tiny")),
    ]
    known(three, source="tiny")  # does not count: kernels are compiled and kept
    about = (
        "The source's hash is known. `dd` reads the source, then writes and flushes as many bytes as the"
        f" 4-bit artifact has. {three} is one command, which reads the source once. A build of the embedded"
        " model, of a few MB, has the interpreter, our modules and the compiled loops, and hardly any data:"
        " what the others have beyond its memory is chunks of rows and scales."
    )
    return f"## Beside the limit\n\n{about}\n\n{table(COLUMNS, rounds('limits', each, args.repeat))}"


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
    sections = {"peers": side_by_side, "limits": limits, "variants": variants}
    for name in args.sections:
        section = sections[name]
        document.append(section(place, args))
        print(document[-1], flush=True)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text("\n\n".join(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""From the command to the first word, and to a loaded model: docs/benchmarks/startup.md.

    python benchmarks/startup.py --before COMMIT --full ARTIFACT --python VENV/bin/python

Python alone, what `voxrun` answers without a model, a short recording with tiny, and loading an artifact of
full size; an empty `dodo.py`, and doit's commands that build nothing; by the checked-out code and by an older
commit in turn. Each run is a fresh process that imports voxrun from a checkout; `--python` is an interpreter
that finds voxrun's libraries, best in an environment of its own: in one for development, editable packages
make each start of Python slower. doit is that of the environment of this script.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from environments import machine
from figures import Column, megabytes, milliseconds, number, table
from runs import ROOT, Contestant, Run, process, rounds

CLIP = ROOT / "tiny/clips/prompts/conf-now-unmuted.flac"
ALONE = "Python alone"
EMPTY = "an empty dodo.py"
ANSWERS = ("--help", "--version", "serve --help", "bench --help")
BUILDING_NOTHING = ("list", "help", "plan source=tiny")
COMMAND = "import sys; sys.argv[0] = 'voxrun'; from voxrun.cli.main import command; command()"
LOAD = """
import json, os, sys, time
begun = time.perf_counter()
from voxrun.transcriber import Transcriber
imported = time.perf_counter()
Transcriber.load(sys.argv[1])
loaded = time.perf_counter()
print(json.dumps({"import_s": imported - begun, "load_s": loaded - imported}), flush=True)
os._exit(0)
"""
"""As the command leaves."""
COLUMNS = [
    milliseconds("time", "wall_s", ratio=True),
    Column("processor time, ms", "cpu_s", 1e3, ratio=True),
]
MEMORY = megabytes("peak memory", "peak_bytes")
LOADING = [
    milliseconds("load", "load_s", ratio=True),
    milliseconds("import", "import_s"),
    *COLUMNS,
    MEMORY,
]


def main() -> None:
    """Measure, and write the document."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--before", metavar="COMMIT", help="an older commit, measured in turn")
    p.add_argument("--tiny", type=Path, default=ROOT / "tiny/checkpoint")
    p.add_argument("--full", type=Path, help="an artifact of full size")
    p.add_argument("--python", type=Path, default=Path(sys.executable))
    p.add_argument("--repeat", type=int, default=15, help="rounds; at full size a third (default: 15)")
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/startup.md")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = (
            f"{folder}/bytecode"  # is kept, whatever else the environment says
        )
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        checkouts = {"before": checkout(args.before, Path(folder) / "before")} if args.before else {}
        args.out.write_text(document(args, checkouts | {"now": ROOT}, Path(folder)), encoding="utf-8")


def checkout(commit: str, folder: Path) -> Path:
    """The files of a commit."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def document(args: argparse.Namespace, checkouts: dict[str, Path], scratch: Path) -> str:
    """All tables."""

    def run(checkout: Path, script: str, *words: object) -> Run:
        environment = os.environ | {"PYTHONPATH": str(checkout / "runtime")}
        return process(args.python, "-c", script, *words, environment=environment)

    def among(
        title: str, repeat: int, script: str, *words: object, heavy: bool = True
    ) -> dict[str, list[Run]]:
        alone = [Contestant(ALONE, partial(run, ROOT, "pass"))] if script == COMMAND and not heavy else []
        each = [Contestant(name, partial(run, path, script, *words)) for name, path in checkouts.items()]
        rounds(f"{title}, which does not count", each, 1)  # byte code is compiled and kept
        return rounds(title, [*alone, *each], repeat)

    answers = {words: among(words, args.repeat, COMMAND, *words.split(), heavy=False) for words in ANSWERS}
    listed = {words: doing(words, args.repeat, checkouts, scratch) for words in BUILDING_NOTHING}
    heard = among("prompt", args.repeat, COMMAND, CLIP, "--model", args.tiny.resolve())
    parts = [
        INTRODUCTION.format(machine=machine(), command="python benchmarks/startup.py", before=args.before),
        *(
            f"## `voxrun {words}`\n\n{table(COLUMNS, runs)}\n\nBeyond Python's own start: {beyond(runs)}."
            for words, runs in answers.items()
        ),
        *(f"## `doit {words}`\n\n{table(COLUMNS, runs)}" for words, runs in listed.items()),
        f"## A recording of 2 s with tiny, the whole process\n\n{table([*COLUMNS, MEMORY], heard)}",
    ]
    if args.full:
        loaded = among("load", max(1, args.repeat // 3), LOAD, args.full.resolve())
        stored = sum(path.stat().st_size for path in args.full.glob("*.safetensors")) / 1e6
        title = f"## Loading {stored:,.0f} MB of 4-bit weights and 131,072 tokens"
        parts.append(f"{title}\n\n{table(LOADING, loaded)}")
    return "\n\n".join(parts) + "\n"


def doing(words: str, repeat: int, checkouts: dict[str, Path], scratch: Path) -> dict[str, list[Run]]:
    """A command of doit in each checkout, beside `doit list` where `dodo.py` is empty."""
    empty = scratch / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "dodo.py").touch()

    def run(folder: Path, *words: str) -> Run:
        environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'runtime'}"}
        return process(sys.executable, "-m", "doit", *words, environment=environment, cwd=folder)

    each = [Contestant(name, partial(run, path, *words.split())) for name, path in checkouts.items()]
    rounds(f"doit {words}, which does not count", each, 1)
    return rounds(f"doit {words}", [Contestant(EMPTY, partial(run, empty, "list")), *each], repeat)


def beyond(runs: dict[str, list[Run]]) -> str:
    """What a start takes longer than Python's own, in the same rounds."""
    said = []
    for name, of in runs.items():
        pairs = zip(of, runs[ALONE], strict=True)
        longer = statistics.median(run.figures["wall_s"] - alone.figures["wall_s"] for run, alone in pairs)
        if name != ALONE:
            said.append(f"{number(1e3 * longer)} ms {name}")
    return ", ".join(said)


INTRODUCTION = """\
# Start-up and loading

`{command} --before {before}`, on {machine}.

Medians (least-most) of interleaved rounds, each run a fresh process over files in the page cache. *before* is
commit {before}. Ratios are to the first row, within rounds; other work on the machine moves times more than
ratios."""


if __name__ == "__main__":
    main()

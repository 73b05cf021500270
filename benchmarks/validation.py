"""What a validation costs and how exact its KL is, from kept scores: docs/benchmarks/validation.md.

    python benchmarks/validation.py [--before CHECKOUT] [--full ARTIFACT] [--repeat 5]

`--before`: a checkout of an older voxbuild, whose validations are run in turn with ours. `--full`: an
artifact at full size (`benchmarks/make_checkpoint.py`, `benchmarks/make_artifact.py`), for memory.
Without them their parts are left out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from environments import machine
from figures import Column, megabytes, seconds, table
from kept_scores import exactness
from runs import ROOT, Contestant, Run, rounds

FORGETS = "*.heard.json", "heard/*"
"""What is heard again in a run: the records of older versions, and of this one."""
COLUMNS = [
    seconds("time", "wall_s", ratio=True),
    Column("processor time, s", "cpu_s", ratio=True),
    seconds("stage", "stage_s", ratio=True),
    Column("stage's processor time, s", "stage_cpu_s", ratio=True),
    megabytes("peak memory", "peak_bytes", ratio=True),
]


def main() -> None:
    """Measure, and write the document."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/validation.md")
    p.add_argument("--before", type=Path)
    p.add_argument("--full", type=Path)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--recipes", nargs="+", default=["2bit", "4bit", "8bit"])
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        ours = project(Path(name) / "now", ROOT, options.recipes)
        costs = [f"## Time\n\n{times(ours, options)}"] if options.before else []
        if options.full:
            costs.append(f"## Memory at full size\n\n{memory(options.full)}")
        exact = f"## Exactness\n\n{exactness(ours, options.recipes)}"
    options.out.write_text(TEXT.format(parts="\n".join([*costs, exact]), machine=machine()), encoding="utf-8")


def project(folder: Path, checkout: Path, recipes: list[str]) -> Path:
    """A project of a checkout's recipes over tiny, converted, its source heard."""
    folder.mkdir()
    for name in ("recipes", "model_cards", "dodo.py", "doit.cfg"):
        copy = shutil.copytree if (checkout / name).is_dir() else shutil.copy
        copy(checkout / name, folder / name)
    (folder / "tiny").symlink_to(ROOT / "tiny")
    for task in ("convert", "reference"):
        doit(folder, checkout, task, recipes).check_returncode()
    return folder


def doit(folder: Path, checkout: Path, task: str, recipes: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A task of these recipes over tiny."""
    command = [sys.executable, "-m", "doit", task, f"recipe={','.join(recipes)}", "source=tiny"]
    return subprocess.run(command, cwd=folder, env=environment(checkout), capture_output=True, check=False)


def environment(checkout: Path) -> dict[str, str]:
    """That of a process that runs a checkout's code, and our workers."""
    path = os.pathsep.join(map(str, (checkout, checkout / "runtime", ROOT)))
    return os.environ | {"PYTHONPATH": path}


def times(ours: Path, options: argparse.Namespace) -> str:
    """Validations by the older version and by this one, in turn."""
    before = project(ours.with_name("before"), options.before, options.recipes)
    parts = []
    for recipe in options.recipes:
        runs = rounds(
            recipe,
            [
                Contestant("before", partial(validation, before, options.before, recipe)),
                Contestant("now", partial(validation, ours, ROOT, recipe)),
            ],
            options.repeat,
        )
        parts.append(table(COLUMNS, runs, head=recipe))
    return ABOUT_TIMES + "\n\n".join(parts) + "\n"


def validation(folder: Path, checkout: Path, recipe: str) -> Run:
    """`doit validate` as a process, then the stage in one; the source is known, the artifact is not."""
    forget(folder)
    subprocess.run(
        [sys.executable, "-m", "doit", "forget", f"validate:tiny:{recipe}"],
        cwd=folder,
        env=environment(checkout),
        capture_output=True,
        check=False,
    )
    command = [sys.executable, "-m", "doit", "validate", f"recipe={recipe}", "source=tiny"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(checkout), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, used = os.wait4(process.pid, 0)
    figures = {
        "wall_s": time.perf_counter() - begun,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    forget(folder)
    worker = [sys.executable, "-m", "benchmarks.workers.validation", "stage", recipe]
    done = subprocess.run(worker, cwd=folder, env=environment(checkout), capture_output=True, check=False)
    if done.returncode:
        return Run(figures, done.stderr.decode(errors="replace").strip().splitlines()[-1])
    return Run(figures | json.loads(done.stdout.splitlines()[-1]))


def forget(folder: Path) -> None:
    """Let artifacts be heard again, not the source: its records are those with scores beside them."""
    state = folder / "out/.state/tiny"
    for path in [found for pattern in FORGETS for found in state.glob(pattern)]:
        if path.is_file() and not path.with_suffix("").is_dir():
            path.unlink()


def memory(artifact: Path) -> str:
    """Of an artifact that hears the two shortest prompts, in a line."""
    clips = sorted((ROOT / "tiny/clips/prompts").glob("*.flac"), key=lambda path: path.stat().st_size)[1:3]
    worker = [sys.executable, "-m", "benchmarks.workers.validation", "clips", artifact.resolve(), *clips]
    done = subprocess.run(worker, cwd=ROOT, env=environment(ROOT), capture_output=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return ABOUT_MEMORY.format(
        **{
            key.removesuffix("_bytes"): f"{n / 1e6:,.0f}"
            for key, n in found.items()
            if key.endswith("_bytes")
        },
        clips=len(clips),
        audio=f"{found['audio_s']:.1f}",
        over=f"{(found['peak_bytes'] - found['weights_bytes']) / 1e6:,.0f}",
    )


TEXT = """# What a validation costs

The source hears each clip once for each delay; its tokens and scores are kept. The validation of an
artifact loads the artifact only, and hears nothing twice. Made by `python benchmarks/validation.py` on
{machine}.

{parts}"""

ABOUT_TIMES = """\
Artifacts over tiny's 48 clips (257 s of audio), by the older version of the checkout `--before` and by
this one, in turn; the source is known, the artifact is not. *time*, *processor time* and *peak memory*
are those of the process `doit validate`; *stage* is the stage alone, in a process of its own. Medians,
from least to most; ratios are of runs of the same round, on a machine with other work.

"""

ABOUT_MEMORY = """\
An artifact with {weights} MB of weights hears {clips} clips ({audio} s), first as the source, then
compared with the scores that were kept. Resident were at most {own} MB of the process's own memory and
{mapped} MB of mapped files, the weights among them; {peak} MB together: {over} MB more than the
weights.
"""


if __name__ == "__main__":
    main()

"""The same grid in one process, and on clusters of this machine, one worker of which is killed: equal bytes.

    python benchmarks/cluster.py [--workers 1 2 4] [--clips digits] [--delays 160,480,960,2400]

Writes docs/benchmarks/cluster.md. The exit code is 1 if any run gives other bytes.
"""

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from environments import machine
from runs import ROOT, tell

RECIPES = "8bit,4bit,2bit"
FILES = ("evaluation.json", "evaluation.html")
TEXT = """# A grid on clusters

`doit evaluate recipe={recipes} delays={delays} clips={clips} source=tiny`, each time with nothing on
record: {heard} results, of a clip by a model at a delay. The workers are processes of one machine, on which
other work went on; one of two is killed when a third was heard. Made by `python benchmarks/cluster.py` on
{machine}.

| computed by | seconds | sha256 of evaluation.json | of the page |
|---|---|---|---|
{rows}

Seconds are those of the whole command, of which the model's work is a part. The cores are the same ones, so
more workers than cores gain nothing here; what counts is that the hashes are equal.
"""


@dataclass(frozen=True)
class Grid:
    """What is heard, in a project."""

    project: Path
    clips: str
    delays: str

    def heard(self) -> int:
        """How many results are on record."""
        return sum(len(path.read_bytes().splitlines()) for path in self._records.glob("*.jsonl"))

    def forget(self) -> None:
        """Remove all records."""
        shutil.rmtree(self._records, ignore_errors=True)

    def begin(self, scheduler: str | None) -> subprocess.Popen[bytes]:
        """Start `doit evaluate`."""
        where = [f"scheduler={scheduler}"] if scheduler else []
        return self.doit("evaluate", f"delays={self.delays}", f"clips={self.clips}", *where)

    def doit(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a task of the recipes over tiny."""
        command = [sys.executable, "-m", "doit", *words, f"recipe={RECIPES}", "source=tiny"]
        return subprocess.Popen(command, cwd=self.project, stdout=subprocess.DEVNULL)

    def hashes(self) -> list[str]:
        """The beginnings of the hashes of both files."""
        return [hashlib.sha256((self.project / "out/tiny" / n).read_bytes()).hexdigest()[:16] for n in FILES]

    @property
    def _records(self) -> Path:
        return self.project / "out/.state/tiny/heard"


def main() -> int:
    """Run all, and write the document."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/cluster.md")
    p.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    p.add_argument("--clips", default="digits")
    p.add_argument("--delays", default="160,480,960,2400")
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        grid = Grid(_project(Path(name) / "project"), options.clips, options.delays)
        if grid.doit("convert").wait():
            return 1
        runs = {"one process, no cluster": _run(grid, 0)}
        heard = grid.heard()
        for n in options.workers:
            runs[f"{n} worker{'s' * (n > 1)}"] = _run(grid, n)
        runs["2 workers, one killed"] = _run(grid, 2, heard // 3)
    rows = "\n".join(
        f"| {name} | {seconds:.1f} | {' | '.join(hashes)} |" for name, (seconds, hashes) in runs.items()
    )
    told = {"clips": options.clips, "delays": options.delays, "recipes": RECIPES, "heard": heard}
    options.out.write_text(TEXT.format(rows=rows, machine=machine(), **told), encoding="utf-8")
    return int(len({tuple(hashes) for _, hashes in runs.values()}) > 1)


def _project(folder: Path) -> Path:
    """A project of our recipes, with the embedded model."""
    folder.mkdir()
    for name in ("recipes", "model_cards"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dodo.py", "doit.cfg"):
        shutil.copy(ROOT / name, folder)
    (folder / "tiny").symlink_to(ROOT / "tiny")
    return folder


def _run(grid: Grid, n: int, kill_after: int | None = None) -> tuple[float, list[str]]:
    """Seconds and hashes of an evaluation by n workers; 0: without a cluster."""
    grid.forget()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        address = stack.enter_context(_scheduler(Path(name))) if n else None
        workers = [stack.enter_context(_worker(str(address), Path(name))) for _ in range(n)]
        begun = time.perf_counter()
        process = grid.begin(address)
        while kill_after and process.poll() is None and grid.heard() < kill_after:
            time.sleep(0.05)
        if kill_after:
            workers[0].kill()
        if process.wait():
            raise SystemExit("doit evaluate failed")
        took = time.perf_counter() - begun
    tell(f"{n} workers: {took:.1f} s, {grid.hashes()}")
    return took, grid.hashes()


@contextmanager
def _scheduler(folder: Path) -> Iterator[str]:
    file = folder / "scheduler.json"
    with _dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)):
        while not (file.is_file() and file.stat().st_size):
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]


def _worker(address: str, folder: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return _dask("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))


@contextmanager
def _dask(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())

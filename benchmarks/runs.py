"""Workers as processes, and rounds of them: A B C, A B C, ... so that what disturbs one disturbs all."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss, in bytes."""


@dataclass(frozen=True)
class Run:
    """What one process told, and why it told no more."""

    figures: dict[str, Any]
    error: str = ""
    limit: float | None = None
    """Seconds after which it was stopped."""


@dataclass(frozen=True)
class Contestant:
    """A name in a table and what produces its runs."""

    name: str
    go: Callable[[], Run]


@dataclass
class Peer:
    """A runtime in its own environment, with the artifact as it reads it."""

    name: str
    python: Path
    error: str = ""
    """Why it cannot take part."""
    versions: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: object, timeout: float, environment: dict[str, str] | None = None) -> Run:
        """A worker in a fresh process; `wall_s` is its whole life, start-up included."""
        if self.error:
            return Run({}, self.error)
        module = f"benchmarks.workers.{self.name.replace('-', '_')}"
        return process(self.python, "-m", module, *arguments, timeout=timeout, environment=environment)


def process(
    *command: object, timeout: float = 3600, environment: dict[str, str] | None = None, cwd: Path = ROOT
) -> Run:
    """One process, from its start to its end: what it reports, `wall_s` and `cpu_s`.

    `peak_bytes`, too, unless it reports that itself: on Linux this one includes the parent's memory.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        try:
            child = subprocess.Popen(words, stdout=out, stderr=err, cwd=cwd, env=environment)
        except OSError as problem:
            return Run({}, str(problem))
        late = Timer(timeout, child.kill)
        late.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        finally:
            late.cancel()
        wall = time.perf_counter() - start
        code = child.returncode = os.waitstatus_to_exitcode(status)
        if code and wall >= timeout:
            return Run(_figures(out), f"stopped after {timeout:g} s", timeout)
        if code:
            return Run(_figures(out), f"{_last_line(err)} (exit code {code})")
        spent = {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime}
        return Run({"peak_bytes": used.ru_maxrss * PEAK_UNIT} | _figures(out) | spent)


def _figures(out: IO[bytes]) -> dict[str, Any]:
    out.seek(0)
    figures: dict[str, Any] = {}
    for line in out.read().decode(errors="replace").splitlines():
        if line.startswith('{"') and line.endswith("}"):  # a peer may print what it likes beside that
            figures |= json.loads(line)
    return figures


def _last_line(err: IO[bytes]) -> str:
    err.seek(0)
    lines = err.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "failed without a word"


def rounds(title: str, contestants: Sequence[Contestant], repeat: int) -> dict[str, list[Run]]:
    """Interleaved runs by name; who fails once is not asked again."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for number in range(repeat):
        for contestant in contestants:
            done = runs[contestant.name]
            if done and done[-1].error:
                continue
            done.append(contestant.go())
            tell(f"{title} [{number + 1}/{repeat}] {contestant.name}: {_brief(done[-1])}")
    return runs


def _brief(run: Run) -> str:
    seconds = [f"{key[:-2]} {value:.3g} s" for key, value in run.figures.items() if key.endswith("_s")]
    return ", ".join([*seconds, *filter(None, [run.error])])


def public(word: str) -> str:
    """A word of a command without this machine's folders."""
    path = Path(word)
    return path.name if path.is_absolute() else word


def tell(message: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)

"""How many sessions a server can hear in real time before words come later than the delay and 400 ms.

    python benchmarks/serve.py out/tiny/4bit --out docs/benchmarks/serve.md

Sessions speak the committed clips with pauses, a block each 80 ms. A server holds a number of them if 95 % of
their words are there within the model's delay and 400 ms; the number is doubled until it does not, and then
narrowed down. Servers and clients are different processes.
"""

import argparse
import asyncio
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from environments import DEFAULT_EXTRA, machine, python_of
from peers import mlx_audio_view
from runs import ROOT, public, tell
from serve_client import Figures, Heard, Stream, run, streams
from serve_servers import Running, Server, mlx_audio, more_files, one_at_a_time, ours, running
from soak_audio import Speech

from voxrun.bench.tables import markdown
from voxrun.transcriber import Transcriber

ALLOWED = 0.4
"""Seconds for which a word may take, beside the model's delay."""
DIFFERENT = 8
"""Streams; more sessions than these hear the same."""
FINENESS = 8
"""The number is found to one part in so many."""
HEAD = """# Sessions in real time

`{command}`

Machine: {machine}.

Each session speaks {seconds:g} s of clips with pauses, 80 ms at a time. A number of sessions is held if 95 %
of the words are there within {limit:.0f} ms of their last audio, {delay:.0f} of them the model's delay.
`cores`: processor time of the server in a second; `memory`: its most resident so far; `client late`: by how
much the client itself was late at most."""
PEERS = ("one-at-a-time", "mlx-audio")


@dataclass(frozen=True)
class Held:
    """A run, with what the server needed."""

    figures: Figures
    processor: float
    """Seconds of processor time in a second."""
    resident: float
    """MB of the server in memory at most."""


class Bench:
    """Runs of sessions over one server."""

    def __init__(
        self, server: Server, place: Running, spoken: Sequence[Stream], rate: int, tries: int
    ) -> None:
        self._server, self._place, self._spoken, self._rate = server, place, spoken, rate
        self._tries = tries
        self.runs: list[Held] = []

    def search(self, limit: float, most: int) -> int:
        """The largest number of sessions that is held, 0 if none is; `limit`: seconds for 95 % of words."""
        good, bad = 0, 1
        while bad <= most and self._holds(bad, limit):
            good, bad = bad, 2 * bad
        bad = min(bad, most + 1)
        while bad - good > max(1, good // FINENESS):
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self._holds(middle, limit) else (good, middle)
        return good

    def _holds(self, n: int, limit: float) -> bool:
        return any(self._run(n).figures.late <= limit for _ in range(self._tries))

    def _run(self, n: int) -> Held:
        heard = [Heard(self._spoken[i % len(self._spoken)]) for i in range(n)]
        processor, wall = self._place.processor_seconds, time.monotonic()
        server = self._server
        figures = asyncio.run(run(self._place.url, server.dialect, server.model, self._rate, heard))
        used = (self._place.processor_seconds - processor) / (time.monotonic() - wall)
        held = Held(figures, used, self._place.status("VmHWM") / 1e3)
        self.runs.append(held)
        tell(f"{server.name}: {' | '.join(row(held))}")
        return held

    def best(self, n: int, limit: float) -> Held:
        """The run in which `n` sessions were held."""
        return next(
            held for held in self.runs if (held.figures.sessions, held.figures.late <= limit) == (n, True)
        )


COLUMNS = ["sessions", "words", "median, ms", "95 %, ms", "cores", "memory, MB", "client late, ms", "error"]


def row(held: Held) -> list[str]:
    """A run as cells of COLUMNS."""
    figures = held.figures
    times = [f"{1000 * t:.0f}" if math.isfinite(t) else "never" for t in (figures.median, figures.late)]
    lag = f"{1000 * figures.lag:.0f}"
    load = [f"{held.processor:.2f}", f"{held.resident:.0f}"]
    return [str(figures.sessions), str(figures.words), *times, *load, lag, figures.error[:100]]


def contestants(args: argparse.Namespace) -> Iterator[Server | str]:
    """The servers, or why one is not there."""
    yield ours(args.model, args.most)
    if "one-at-a-time" in args.peers:
        yield one_at_a_time(args.model)
    if "mlx-audio" in args.peers:
        try:
            python = args.mlx_audio_python or python_of("mlx-audio-server", args.envs, args.mlx_extra)
            yield mlx_audio(python, mlx_audio_view(args.model, args.work))
        except (subprocess.CalledProcessError, OSError) as error:
            yield f"mlx-audio: no environment: {error}"


def measured(
    server: Server, spoken: Sequence[Stream], rate: int, limit: float, args: argparse.Namespace
) -> tuple[list[str], str]:
    """A row of the summary, and a section with all runs."""
    try:
        with running(server) as place:
            bench = Bench(server, place, spoken, rate, args.tries)
            n = bench.search(limit, args.most)
    except RuntimeError as error:
        return [server.name, "-", *[""] * 4, str(error)], ""
    section = f"## {server.name}\n\n{markdown(COLUMNS, [row(held) for held in bench.runs])}"
    if not n:
        return [server.name, "0", *row(bench.runs[-1])[2:6], "with one session"], section
    return [server.name, str(n), *row(bench.best(n, limit))[2:6], ""], section


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="an artifact of a recipe, such as tiny's")
    p.add_argument("--clips", type=Path, default=ROOT / "tiny/clips", help="folders with transcripts.tsv")
    p.add_argument("--seconds", type=float, default=30.0, help="of each session (default: 30)")
    p.add_argument("--most", type=int, default=256, help="sessions at most (default: 256)")
    p.add_argument(
        "--tries", type=int, default=3, help="before a number counts as not held: other work disturbs (3)"
    )
    p.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    p.add_argument("--envs", type=Path, default=ROOT / "benchmarks/.envs", help="where environments are made")
    p.add_argument(
        "--work", type=Path, default=ROOT / "benchmarks/.work", help="artifacts as peers read them"
    )
    p.add_argument("--mlx-extra", default=DEFAULT_EXTRA, help="MLX's backend: cpu, cuda13 or nothing")
    p.add_argument("--mlx-audio-python", type=Path, help="an environment that is there already")
    p.add_argument("--out", type=Path, help="write the Markdown there, too")
    return p.parse_args()


def main() -> None:
    """Measure, and print."""
    args = parsed()
    args.model = args.model.resolve()
    more_files()
    transcriber = Transcriber.load(args.model)
    speech = Speech(args.clips, transcriber.rate)
    delay = transcriber.tokenizer.default_delay_ms / 1000
    tell("streams are heard alone")
    spoken = streams(transcriber, speech, args.seconds, DIFFERENT)
    rows, sections = [], []
    for server in contestants(args):
        if isinstance(server, str):
            rows.append([*server.split(": ", 1)[:1], "-", *[""] * 4, server.split(": ", 1)[1]])
            continue
        found, section = measured(server, spoken, speech.rate, delay + ALLOWED, args)
        rows.append(found)
        sections.append(section)
    head = HEAD.format(
        command="python benchmarks/serve.py " + shlex.join(public(word) for word in sys.argv[1:]),
        machine=machine(),
        seconds=args.seconds,
        delay=1000 * delay,
        limit=1000 * (delay + ALLOWED),
    )
    summary = markdown(["server", "sessions held", *COLUMNS[2:6], "note"], rows)
    document = "\n\n".join(filter(None, [head, summary, *sections])) + "\n"
    print(document)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()

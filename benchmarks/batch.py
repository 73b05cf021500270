"""N recordings together against one after the other, by the same process: seconds, their ratio, and memory.

    python benchmarks/batch.py --model out/tiny/4bit
    python benchmarks/batch.py --model DIR --script out/tiny/4bit --seconds 2 --sizes 8 --repeat 1

With --script the model, of random weights, is made to say what the model there says of the same recordings:
how many passes the decoder needs depends on that.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from voxrun import Session, Transcriber
from voxrun.bench.tables import markdown

ROOT = Path(__file__).resolve().parent.parent
CLIPS = sorted((ROOT / "tiny/clips/digits").glob("*.flac"))
BLOCK = 80_000
"""Samples fed at once, as of files."""


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--script", type=Path, help="a model that hears, whose tokens the measured one repeats")
    p.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    p.add_argument("--seconds", type=float, help="of each recording (default: all of it)")
    p.add_argument("--repeat", type=int, default=5, help="rounds (default: 5)")
    p.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return p.parse_args()


def recordings(n: int, seconds: float | None) -> list[Any]:
    """Samples of n clips, some of them twice."""
    end = None if seconds is None else round(seconds * 16000)
    return [soundfile.read(CLIPS[i % len(CLIPS)], dtype="float32")[0][:end] for i in range(n)]


def blocks(samples: Any) -> list[Any]:
    """As a file is fed."""
    return [samples[i : i + BLOCK] for i in range(0, len(samples), BLOCK)]


class Runs:
    """One model, and the recordings that it hears."""

    def __init__(self, model: Path, clips: list[Any], script: Path | None) -> None:
        self._transcriber, self._clips = Transcriber.open(model), clips
        self._scripts: list[list[int]] = []
        if script is not None:
            speaker = Transcriber.open(script)
            self._scripts = [speaker.transcribe(clip, rate=16000, live=True).tokens for clip in clips]

    def serial(self) -> list[str]:
        """One after the other."""
        texts = []
        for i, clip in enumerate(self._clips):
            session = self._session(i)
            texts.append("".join(map(str, [*map(session.feed, blocks(clip)), session.finish()])))
        return texts

    def together(self) -> list[str]:
        """All at once."""
        futures = []
        for i, clip in enumerate(self._clips):
            session = self._session(i)
            futures.append([*map(session.feed_later, blocks(clip)), session.finish_later()])
        return ["".join(str(future.result()) for future in each) for each in futures]

    def _session(self, i: int) -> Session:
        if not self._scripts:
            return self._transcriber.session()
        with Saying(self._scripts[i]):
            return self._transcriber.session(live=True)


class Saying:
    """Sessions begun meanwhile say these tokens; the logits are computed all the same."""

    def __init__(self, script: list[int]) -> None:
        self._script = script

    def __enter__(self) -> "Saying":
        from voxrun.stream import session

        script, self._before = self._script, session.Sampler

        class Scripted(session.Sampler):
            def scores(self, logits: Any, number: int, run: int) -> Any:
                scores = np.array(logits)
                for i, row in enumerate(scores):
                    row[script[(number + i) % len(script)]] = 1e6
                return scores

        session.Sampler = Scripted  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        from voxrun.stream import session

        session.Sampler = self._before  # type: ignore[misc]


def timed(function: Callable[[], list[str]]) -> tuple[float, float, list[str]]:
    """Seconds of the clock and of the processors, and what it returned."""
    wall, busy = time.perf_counter(), time.process_time()
    texts = function()
    return time.perf_counter() - wall, time.process_time() - busy, texts


def peak() -> int:
    """Most bytes resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child(args: argparse.Namespace) -> dict[str, Any]:
    """Rounds of both ways in this process."""
    clips = recordings(args.child, args.seconds)
    Runs(args.model, clips[:1], args.script).serial()  # what is loaded and compiled on first use
    runs = Runs(args.model, clips, args.script)
    figures: dict[str, Any] = {"audio": sum(map(len, clips)) / 16000, "serial": [], "together": []}
    for _ in range(args.repeat):
        *serial, expected = timed(runs.serial)
        figures.setdefault("serial_bytes", peak())
        *together, texts = timed(runs.together)
        figures.setdefault("together_bytes", peak())
        assert texts == expected, "another text together"
        figures["serial"].append(serial)
        figures["together"].append(together)
    return figures


def row(n: int, figures: dict[str, Any]) -> list[str]:
    """A line of the table."""

    def median(way: str, which: int) -> float:
        return statistics.median(pair[which] for pair in figures[way])

    def ratio(which: int) -> str:
        pairs = zip(figures["serial"], figures["together"], strict=True)
        ratios = [one[which] / other[which] for one, other in pairs]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"

    seconds = [f"{median(way, 0):.2f}" for way in ("serial", "together")]
    speed = f"{figures['audio'] / median('together', 0):.1f}"
    memory = [f"{figures[f'{way}_bytes'] / 1e6:.0f}" for way in ("serial", "together")]
    return [str(n), f"{figures['audio']:.1f}", *seconds, ratio(0), ratio(1), speed, *memory]


def main() -> None:
    """Each size in a process of its own."""
    args = parsed()
    if args.child:
        print(json.dumps(child(args)))
        return
    titles = ["recordings", "audio, s", "one by one, s", "together, s", "times as fast", "of processor time"]
    titles += ["times real time", "one by one, MB", "together, MB"]
    rows = []
    for n in args.sizes:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(n)]
        rows.append(row(n, json.loads(subprocess.run(command, capture_output=True, check=True).stdout)))
        print(markdown(titles, [rows[-1]]), file=sys.stderr, flush=True)
    print(markdown(titles, rows))


if __name__ == "__main__":
    main()

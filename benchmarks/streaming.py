"""A streamed build beside its two parts, the transfer alone and the conversion from disk, at several rates.

    python benchmarks/make_checkpoint.py DIR
    python benchmarks/make_checkpoint.py SMALL --layers 1
    python benchmarks/streaming.py DIR --rates 400 0 --kill-at 400 --small SMALL --small-rates 50 150

A Hub on loopback, in a process of its own, sends the checkpoint no faster than a rate (MB/s; 0: as fast as it
goes). Each run is a fresh process; its disk is what lies in out/ and in the Hub's cache, looked at all the
time. At the end a streamed build is killed in its middle and run again.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from environments import machine
from figures import Column, megabytes, seconds, table
from runs import ROOT, Contestant, Run, public, rounds, tell
from workers.throttled_hub import COMMIT

from voxrun.bench.tables import number
from voxrun.files.hashes import sha256_of

WEIGHTS = "consolidated.safetensors"
FILES = (WEIGHTS, "params.json", "tekken.json")
THREE = "4bit,6bit,8bit"
COLUMNS = [
    seconds("time", "wall_s"),
    Column("processor time, s", "cpu_s"),
    Column("of the server, s", "server_s"),
    megabytes("peak memory", "peak_bytes"),
    megabytes("peak disk", "disk_bytes"),
    megabytes("sent by the server", "sent_bytes"),
    Column("longest part : it", "ratio"),
]
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss, in bytes."""
LOOK_SECONDS = 0.05
TRANSFER = """
import sys
from voxbuild.recipes.origins.hub import HubFiles
from voxbuild.tensors.ahead import Ahead

remote = HubFiles(repo="bench/full", revision=sys.argv[1]).remote(sys.argv[2])
size, into = remote.told().size, memoryview(bytearray(2**21))
ahead = Ahead(remote.receive, 0, size)
while ahead.at < size:
    ahead.read(into[: size - ahead.at])
ahead.close()
"""
"""Receives the file as a streamed build does, and drops it."""


@dataclass(frozen=True)
class Place:
    """A project over the source, in a folder and on a Hub, and what runs leave in it."""

    work: Path

    @property
    def kept(self) -> tuple[Path, Path]:
        """The folders that a build fills."""
        return self.work / "out", self.work / "hf"

    def prepare(self, source: Path) -> None:
        """Recipes, the source in both places, and the files that the Hub serves."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        for name in ("recipes", "model_cards"):
            shutil.copytree(ROOT / name, self.work / name)
        for name in ("dodo.py", "doit.cfg"):
            shutil.copy(ROOT / name, self.work)
        (self.work / "tiny").symlink_to(ROOT / "tiny")
        (self.work / "served").mkdir()
        tell("hashing the source")
        for name in FILES:
            (self.work / "served" / name).symlink_to(source / name)
            (self.work / f"served/{name}.sha256").write_text(sha256_of(source / name))
        digest = (self.work / f"served/{WEIGHTS}.sha256").read_text()
        files = [{"name": WEIGHTS, "sha256": digest}, *({"name": name} for name in FILES[1:])]
        told: dict[str, Any] = {
            "model": "Full",
            "summary": "Random weights.",
            "license": "apache-2.0",
            "languages": ["en"],
        }
        places: dict[str, Any] = {
            "disk": {"path": str(source)},
            "hub": {"hub": {"repo": "bench/full", "revision": COMMIT}},
        }
        for name, where in places.items():
            described = {"name": name, "files": files, **told, **where}
            (self.work / f"recipes/sources/{name}.yaml").write_text(yaml.safe_dump(described))

    def clear(self) -> None:
        """No run was there."""
        for folder in self.kept:
            shutil.rmtree(folder, ignore_errors=True)
        (self.work / ".doit.db.json").unlink(missing_ok=True)

    def command(self, source: str, recipes: str = "4bit") -> list[str]:
        """Fetch, plan and convert."""
        words = ["convert", f"recipe={recipes}", f"source={source}"]
        words += ["fetch=stream"] if source == "hub" else []
        return [sys.executable, "-m", "doit", *words]

    def artifact(self, source: str) -> Path:
        """What comes of it."""
        return self.work / "out" / source / "4bit"

    def used(self) -> int:
        """Bytes on the disk now; files come and go meanwhile."""
        total = 0
        for folder in self.kept:
            for path, _, names in os.walk(folder):
                for name in names:
                    with contextlib.suppress(OSError):
                        total += (Path(path) / name).lstat().st_blocks * 512
        return total


@contextlib.contextmanager
def hub(place: Place, rate: float) -> Iterator[str]:
    """The URL of a Hub that sends at a rate."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.workers.throttled_hub",
        str(place.work / "served"),
        str(rate),
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert server.stdout
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.kill()
        server.wait()


def served(url: str) -> dict[str, float]:
    """What the server has sent and needed so far."""
    with urllib.request.urlopen(f"{url}/sent") as answer:
        return dict(json.load(answer))


def measured(place: Place, url: str, command: list[str], until: Callable[[], bool] | None = None) -> Run:
    """One process to its end, or killed when `until` says so."""
    environment = {"HF_ENDPOINT": url, "HF_HOME": str(place.work / "hf"), "HF_HUB_DISABLE_XET": "1"}
    peak, over, before = [0], threading.Event(), served(url)

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            peak[0] = max(peak[0], place.used())

    looking = threading.Thread(target=look)
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=place.work, env=os.environ | environment, stdout=said, stderr=said
        )
        looking.start()
        if until:
            while process.poll() is None and not until():
                time.sleep(LOOK_SECONDS)
            process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        looking.join()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    if process.returncode and not until:
        return Run({}, f"{lines[-1][:200] if lines else 'failed'} (exit code {process.returncode})")
    figures: dict[str, Any] = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime}
    more = {
        "peak_bytes": usage.ru_maxrss * PEAK_UNIT,
        "disk_bytes": peak[0],
    }
    more |= {name: value - before[name] for name, value in served(url).items()}
    return Run(figures | more)


def built(place: Place, url: str, source: str, hashes: dict[str, str], recipes: str = "4bit") -> Run:
    """A build from its beginning; the hash of its 4-bit weights is kept."""
    place.clear()
    run = measured(place, url, place.command(source, recipes))
    if not run.error:
        hashes[f"{source} {recipes}"] = sha256_of(place.artifact(source) / "model.safetensors")
    place.clear()
    return run


def at_rate(place: Place, rate: float, repeat: int, size: str) -> str:
    """The parts and the whole at a rate; `size` is said."""
    hashes: dict[str, str] = {}
    with hub(place, rate) as url:
        transfer = [sys.executable, "-c", TRANSFER, COMMIT, WEIGHTS]
        each = [
            Contestant("transfer alone", lambda: measured(place, url, transfer)),
            Contestant("conversion from disk", partial(built, place, url, "disk", hashes)),
            Contestant("streamed build", partial(built, place, url, "hub", hashes)),
        ]
        if not rate:
            each.append(Contestant("three recipes", partial(built, place, url, "hub", hashes, THREE)))
        runs = rounds(f"{rate:g} MB/s", each, repeat)
    for *parts, whole in zip(*list(runs.values())[:3], strict=False):
        longest = max((part.figures.get("wall_s", 0) for part in parts), default=0)
        if longest and "wall_s" in whole.figures:
            whole.figures["ratio"] = whole.figures["wall_s"] / longest
    same = "the same" if len(set(hashes.values())) == 1 else "NOT THE SAME"
    title = f"{size} at {rate:g} MB/s" if rate else f"{size} as fast as loopback goes"
    return f"## {title}\n\n{table(COLUMNS, runs)}\n\nThe artifacts are {same} to the byte."


def killed(place: Place, rate: float, source: Path) -> str:
    """A streamed build killed after about half of its source, and run again."""
    size = (source / WEIGHTS).stat().st_size
    place.clear()
    with hub(place, rate) as url:
        first = measured(place, url, place.command("hub"), lambda: served(url)["sent_bytes"] > size / 2)
        again = measured(place, url, place.command("hub"))
    hashes = {"killed": sha256_of(place.artifact("hub") / "model.safetensors")} if not again.error else {}
    place.clear()
    with hub(place, 0) as url:
        built(place, url, "disk", hashes)
    rows = {"killed after half of the source": [first], "the same command again": [again]}
    twice = first.figures["sent_bytes"] + again.figures.get("sent_bytes", 0) - size
    same = "the same" if len(set(hashes.values())) == 1 else "NOT THE SAME"
    note = f"{number(twice / 1e6)} MB were sent twice; the artifact is {same} to the byte as from disk."
    return f"## Killed and run again, {rate:g} MB/s\n\n{table(COLUMNS[:-1], rows)}\n\n{note}"


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source", type=Path, help="a checkpoint as make_checkpoint.py writes it")
    p.add_argument("--rates", type=float, nargs="*", default=[0.0], help="MB/s (default: 0, no limit)")
    p.add_argument("--repeat", type=int, default=1, help="rounds (default: 1)")
    p.add_argument("--kill-at", type=float, help="the rate of the build that is killed (default: none is)")
    p.add_argument("--small", type=Path, help="a smaller checkpoint, for slower rates")
    p.add_argument("--small-rates", type=float, nargs="*", default=[50.0])
    p.add_argument("--work", type=Path, default=ROOT / "benchmarks/.work/streaming")
    p.add_argument("--out", type=Path, help="write the Markdown there, too")
    return p.parse_args()


def header() -> str:
    """Command and machine."""
    command = f"`python benchmarks/streaming.py {shlex.join(map(public, sys.argv[1:]))}`"
    about = (
        "Each row is one process from start to end, beside the server's. Sources become 4 bits in groups"
        " of 64; three recipes are 4bit, 6bit and 8bit in one read. Transfer alone receives the file as a"
        " streamed build does, and drops it."
    )
    return f"# Streamed builds\n\n{command}\n\nMachine: {machine()}. {about}"


def sections(place: Place, args: argparse.Namespace) -> Iterator[str]:
    """All that was asked for, one after the other."""
    for source, rates in ((args.source, args.rates), (args.small, args.small_rates)):
        if source is None:
            continue
        place.prepare(source.resolve())
        size = f"{(source / WEIGHTS).stat().st_size / 1e6:,.0f} MB"
        for rate in rates:
            yield at_rate(place, rate, args.repeat, size)
        if args.kill_at is not None and source == args.source:
            yield killed(place, args.kill_at, source)


def main() -> None:
    """Measure, and print each table as soon as it is there."""
    args = parsed()
    place, document = Place(args.work.resolve()), [header()]
    print(document[0], flush=True)
    for section in sections(place, args):
        document.append(section)
        print(document[-1], flush=True)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text("\n\n".join(document) + "\n", encoding="utf-8")
    shutil.rmtree(place.work, ignore_errors=True)


if __name__ == "__main__":
    main()

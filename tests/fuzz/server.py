"""Hostile clients of the server: each gets the right answer, the server lives, and nobody else notices.

    python tests/fuzz/server.py --cases 2500
    python tests/fuzz/server.py --first 4711 --cases 1   # one of them again

Case `n` follows from `n` alone. Beside all cases, witnesses talk to the server in every protocol, and must
have their exact transcripts. A defect is an answer of another kind, none within 30 s, a transcript that
differs, a line that the server writes about a fault of its own, and memory, threads or files that it keeps.
"""

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parents[1] / "runtime"), str(Path(__file__).resolve().parent)]

import soundfile
import soxr
from committed import CHECKPOINT, CLIPS
from server_cases import WEBSOCKET_CASES
from server_http_cases import HTTP_CASES, idle_sockets
from server_talk import BEARER, DIALECTS, KEY, Dialect, witness
from server_wire import connected, request

from voxrun.transcriber import Transcriber

CLIP = CLIPS / "prompts" / "please-try-again.flac"
CASES = {**WEBSOCKET_CASES, **HTTP_CASES}
MOST_GROWTH = 150e6
"""Bytes by which the server's memory may grow."""
AT_ONCE = 8
"""Cases at the same time."""


@dataclass
class Outcome:
    """Of many cases."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Kind of case and how it ended -> how often."""
    defects: list[str] = field(default_factory=list)
    witnesses: int = 0
    figures: str = ""


@dataclass
class Server:
    """A server as a process of its own."""

    process: subprocess.Popen[str]
    port: int
    said: Path

    def resident(self) -> int:
        """Bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return int(found[1]) * 1024 if found else 0

    def held(self) -> tuple[int, int]:
        """Threads and open files."""
        proc = Path(f"/proc/{self.process.pid}")
        return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with limits that hostile clients reach soon."""
    said = folder / "stderr"
    options = "--port 0 --max-sessions 200 --idle-timeout 20 --max-upload 1 --grace 0"
    command = [sys.executable, "-m", "voxrun", "serve", "--model", str(CHECKPOINT), *options.split()]
    with said.open("w") as stderr:
        process = subprocess.Popen(
            command, stderr=stderr, env={**os.environ, "VOXRUN_API_KEY": KEY}, text=True
        )
    try:
        while not (ready := re.search(r"serving .* at http://127.0.0.1:(\d+)", said.read_text())):
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield Server(process, int(ready[1]), said)
    finally:
        process.kill()
        process.wait()


async def trial(server: Server, index: int, outcome: Outcome) -> None:
    """One case."""
    kind = list(CASES)[index % len(CASES)]
    try:
        end = await CASES[kind](server.port, random.Random(index))
    except Exception as error:
        outcome.defects.append(f"case {index} ({kind}): {type(error).__name__}: {str(error)[:300]}")
        end = "DEFECT"
    outcome.ends[kind, end] += 1


async def watch(server: Server, outcome: Outcome, stop: asyncio.Event, n: int) -> None:
    """Witnesses, one after the other, in all protocols."""
    samples, rate = soundfile.read(CLIP, dtype="int16")
    expected, chance = Transcriber.load(CHECKPOINT).transcribe(CLIP).text, random.Random(n)
    for number in count(n):
        dialect: Dialect = DIALECTS[number % len(DIALECTS)]
        audio = soxr.resample(samples, rate, 24000) if dialect.name == "openai" else samples
        try:
            await witness(server.port, dialect, audio.tobytes(), expected, chance)
        except Exception as error:
            outcome.defects.append(f"witness {number} ({dialect.name}): {type(error).__name__}: {error}")
        outcome.witnesses += 1
        if stop.is_set():
            return


async def attack(server: Server, indices: range, idle: bool) -> Outcome:
    """All cases, some at a time, and what is left of them."""
    outcome, stop, free = Outcome(), asyncio.Event(), asyncio.Semaphore(AT_ONCE)
    sizes, before = [server.resident()], server.held()
    watching = [asyncio.create_task(watch(server, outcome, stop, n)) for n in range(2)]

    async def one(index: int) -> None:
        async with free:
            await trial(server, index, outcome)

    third = -(-len(indices) // 3)
    for start in range(0, len(indices), third):
        await asyncio.gather(*map(one, indices[start : start + third]))
        sizes.append(server.resident())
    if idle:
        outcome.ends["1,000 idle sockets", await idle_sockets(server.port)] += 1
    stop.set()
    await asyncio.gather(*watching)
    await left(server, outcome, sizes, before)
    return outcome


async def left(server: Server, outcome: Outcome, sizes: list[int], before: tuple[int, int]) -> None:
    """What the server holds when all clients have gone."""
    for _ in range(100):
        after = server.held()
        is_open = re.search(r"voxrun_open_sessions\{.*\} [1-9]", await metrics(server))
        if after[1] <= before[1] + 5 and not is_open:
            break
        await asyncio.sleep(0.2)
    sizes.append(server.resident())
    outcome.figures = (
        f"memory at the start, after each third of the cases, and at the end:"
        f" {', '.join(f'{size / 1e6:.0f}' for size in sizes)} MB;"
        f" threads {before[0]}, then {after[0]}; files {before[1]}, then {after[1]}"
    )
    if sizes[-1] - sizes[0] > MOST_GROWTH or after[1] > before[1] + 5 or after[0] > before[0] + 40:
        outcome.defects.append(f"the server keeps what it took: {outcome.figures}")
    lines = [line for line in server.said.read_text().splitlines() if "voxrun: serving" not in line]
    expected = re.compile(r"voxrun: (serving .* at|open it in a browser,.*) http://\S+")
    outcome.defects += [f"the server said: {line}" for line in lines if not expected.fullmatch(line)]
    if server.process.poll() is not None:
        outcome.defects.append("the server has ended")


async def metrics(server: Server) -> str:
    """The server's figures, without comments."""
    async with connected(server.port) as wire:
        await wire.send(request("GET", "/metrics", {"Host": "localhost", **BEARER}))
        answer = await wire.answer()
        assert answer is not None
        return re.sub(r"(?m)^#.*\n", "", answer[2].decode())


def report(outcome: Outcome) -> None:
    """A table of the cases by kind, and every defect."""
    print("| what the client does | cases | how they ended |\n|---|---:|---|")
    for kind in [*CASES, "1,000 idle sockets"]:
        ends = {end: n for (of, end), n in sorted(outcome.ends.items()) if of == kind}
        if ends:
            told = ", ".join(f"{end}: {n}" for end, n in ends.items())
            print(f"| {kind} | {sum(ends.values()):,} | {told} |")
    print(f"\n{sum(outcome.ends.values()):,} cases; {outcome.witnesses} witnesses; {outcome.figures}")
    print("\n".join(outcome.defects))
    print(f"{len(outcome.defects)} defects")


def main() -> int:
    """Attack, and report; 1 if there is a defect."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=2500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--no-idle", action="store_true", help="leave out the 1,000 idle sockets")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        indices = range(args.first, args.first + args.cases)
        outcome = asyncio.run(attack(server, indices, not args.no_idle))
    report(outcome)
    return int(bool(outcome.defects))


if __name__ == "__main__":
    sys.exit(main())

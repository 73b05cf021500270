"""A server for hours: sessions come and go at random, some are cut without goodbye, all others are right.

    python benchmarks/serve_soak.py out/tiny/4bit --hours 2

Each session speaks some of the committed clips, in real time or as fast as it may. A transcript must be that
of the model alone. The server's memory, threads and sockets must not grow: a row of the CSV file each minute.
"""

import argparse
import asyncio
import contextlib
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from runs import ROOT, tell
from serve_client import BLOCK
from serve_dialects import VLLM, append
from serve_servers import Running, more_files, ours, running
from soak_audio import Speech
from soak_plot import plot
from websockets.asyncio.client import ClientConnection, connect

from voxrun.transcriber import Transcriber

TEXTS = 32
"""Different streams."""
SECONDS = (1.0, 20.0)
"""Of a stream."""
CUT = 0.2
"""The share of sessions whose connection breaks."""
HURRIED = 0.2
"""The share of sessions that speak as fast as the server reads."""
PATIENCE = 120.0
"""Seconds until a session is given up, which is an error."""
QUIET = 10.0
"""Seconds without a session at the end, before what is left is counted."""


@dataclass(frozen=True)
class Spoken:
    """Audio as messages, and what the model hears in it when it is alone."""

    messages: list[str]
    text: str


@dataclass(frozen=True)
class Row:
    """One interval, at its end."""

    audio: float
    """Seconds since the beginning; the plot's name for its axis."""
    sessions: int
    """Open now."""
    ended: int
    """Sessions that got their text, from the beginning; so are the next two."""
    cut: int
    errors: int
    resident: float
    """MB of the server in memory; the next three are the server's too."""
    threads: int
    sockets: int
    cores: float
    """Seconds of processor time in a second."""


PANELS = {
    "resident": "resident memory, MB",
    "threads": "threads",
    "sockets": "sockets",
    "sessions": "sessions",
    "cores": "cores",
    "errors": "errors",
}


def spoken(transcriber: Transcriber, speech: Speech) -> Iterator[Spoken]:
    """The streams, each heard alone."""
    size = round(BLOCK * speech.rate)
    for seed in range(TEXTS):
        blocks = Speech(speech.folder, speech.rate, seed).blocks(size)
        seconds = random.Random(seed).uniform(*SECONDS)
        samples = np.concatenate([next(blocks) for _ in range(round(seconds / BLOCK))])
        pcm = np.round(32767 * samples).astype("<i2")
        messages = [append(pcm[at : at + size].tobytes()) for at in range(0, len(pcm), size)]
        yield Spoken(messages, transcriber.transcribe(pcm, rate=speech.rate, live=True).text.strip())


class Soak:
    """The clients of one server."""

    def __init__(self, place: Running, model: str, streams: Sequence[Spoken], seed: int) -> None:
        self._place, self._model, self._streams = place, model, streams
        self._random = random.Random(seed)
        self._open: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    async def run(self, seconds: float, every: float, most: int, record: "Record") -> None:
        """Let sessions come and go, `most` at a time, and go at last; the first row is after a warm-up."""
        await asyncio.gather(*(self._client() for _ in range(most)))
        await asyncio.sleep(QUIET)
        begin = time.monotonic()
        self._row(begin, record)
        watching = asyncio.create_task(self._watch(begin, every, record))
        while time.monotonic() < begin + seconds:
            if len(self._open) < most:
                task = asyncio.create_task(self._client())
                self._open.add(task)
                task.add_done_callback(self._open.discard)
            await asyncio.sleep(self._random.expovariate(most / np.mean(SECONDS)))
        await asyncio.gather(*self._open)
        await asyncio.sleep(QUIET)
        watching.cancel()
        self._row(begin, record)

    async def _watch(self, begin: float, every: float, record: "Record") -> None:
        while True:
            await asyncio.sleep(every)
            self._row(begin, record)

    def _row(self, begin: float, record: "Record") -> None:
        place, counts = self._place, self.counts
        record.add(
            time.monotonic() - begin,
            place.processor_seconds,
            sessions=len(self._open),
            ended=counts["ended"],
            cut=counts["cut"],
            errors=len(self.errors),
            resident=place.status("VmRSS") / 1e3,
            threads=place.status("Threads"),
            sockets=place.sockets,
        )

    async def _client(self) -> None:
        stream = self._random.choice(self._streams)
        cut = self._random.random() < CUT
        sent = self._random.randrange(len(stream.messages)) if cut else len(stream.messages)
        pace = 0.0 if self._random.random() < HURRIED else BLOCK
        try:
            async with asyncio.timeout(PATIENCE):
                text = await self._converse(stream.messages[:sent], pace, cut)
            if not cut and text != stream.text:
                raise ValueError(f"another text: {text!r} instead of {stream.text!r}")
        except Exception as error:  # of whatever kind, it is what the soak looks for
            self.errors.append(f"{type(error).__name__}: {error}")
            tell(self.errors[-1])
        else:
            self.counts["cut" if cut else "ended"] += 1

    async def _converse(self, messages: Sequence[str], pace: float, cut: bool) -> str:
        """The text of one session; none if it is cut."""
        async with connect(self._place.url + VLLM.path, compression=None) as socket:
            await socket.recv()
            listening = asyncio.create_task(_last(socket))
            for event in VLLM.begin(self._model, 0):
                await socket.send(json.dumps(event))
            for message in messages:
                await socket.send(message)
                await asyncio.sleep(pace)
            if cut:
                socket.transport.abort()
                with contextlib.suppress(Exception):  # the connection is gone, as it should be
                    await listening
                return ""
            await socket.send(json.dumps(VLLM.end))
            last = await listening
            return str(last[VLLM.text]) if last["type"] == VLLM.done else f"error: {last}"


async def _last(socket: ClientConnection) -> dict[str, Any]:
    """The event that ends a session; its deltas, joined, are its text."""
    text = ""
    async for message in socket:
        event: dict[str, Any] = json.loads(message)
        if event["type"] == VLLM.delta:
            text += event["delta"]
        elif event["type"] in (VLLM.done, "error"):
            if event["type"] == VLLM.done and event[VLLM.text] != text.strip():
                raise ValueError(f"the deltas are {text.strip()!r}, the whole is {event[VLLM.text]!r}")
            return event
    raise ConnectionError("the server closed the connection before the end")


class Record:
    """Rows into a CSV file and a plot, as they come."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._table, self._plot = folder / "serve.csv", folder / "serve.svg"
        self.rows: list[Row] = []
        self._processor = 0.0

    def add(self, audio: float, processor: float, **figures: Any) -> None:
        """A row after `audio` seconds and `processor` seconds of processor time."""
        since = audio - self.rows[-1].audio if self.rows else audio
        cores = (processor - self._processor) / since if self.rows and since else 0.0
        self._processor = processor
        self.rows.append(Row(audio=audio, cores=cores, **figures))
        with self._table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:g}" for k, v in asdict(row).items()} for row in self.rows)
        if len(self.rows) > 1:
            self._plot.write_text(plot(self.rows, PANELS, "hours"), encoding="utf-8")

    def summary(self) -> str:
        """First, middle and last row in a line."""
        first, last = self.rows[0], self.rows[-1]
        return "; ".join(
            [
                f"{last.audio / 3600:.2f} h, {last.ended} sessions with the right text, {last.cut} cut",
                f"{last.errors} errors",
                f"idle at first and at last: {first.resident:.1f} and {last.resident:.1f} MB resident",
                f"{first.threads} and {last.threads} threads",
                f"{first.sockets} and {last.sockets} sockets",
            ]
        )


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path, help="an artifact of a recipe, such as tiny's")
    p.add_argument("--clips", type=Path, default=ROOT / "tiny/clips", help="folders with transcripts.tsv")
    p.add_argument("--hours", type=float, default=2.0)
    p.add_argument("--most", type=int, default=12, help="sessions at a time (default: 12)")
    p.add_argument("--every", type=float, default=60.0, help="seconds between two rows (default: 60)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("docs/soak"), help="folder for the CSV and the plot")
    return p.parse_args()


def main() -> None:
    """Run; exit code 1 if anything went wrong."""
    args = parsed()
    model = args.model.resolve()
    more_files()
    transcriber = Transcriber.load(model)
    tell("streams are heard alone")
    streams = list(spoken(transcriber, Speech(args.clips, transcriber.rate)))
    record = Record(args.out)
    with running(ours(model, args.most)) as place:
        soak = Soak(place, model.name, streams, args.seed)
        try:
            asyncio.run(soak.run(3600 * args.hours, args.every, args.most, record))
        except KeyboardInterrupt:
            print("interrupted")
    print(record.summary())
    for error, n in Counter(soak.errors).most_common(20):
        print(f"{n} x {error}")
    raise SystemExit(1 if soak.errors else 0)


if __name__ == "__main__":
    main()

"""Sessions that speak to a server in real time, and how late their words come.

They need little processor time beside the server: all messages are made before.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
from serve_dialects import Dialect, append
from soak_audio import Speech
from websockets.asyncio.client import ClientConnection, connect

from voxrun.transcriber import Transcriber

BLOCK = 0.08
"""Seconds of audio in a message."""
WARM_UP = 3.0
"""Seconds of a stream whose words do not count: sessions begin."""
LAST = 2.0
"""Seconds at the end of a stream whose words do not count: they would come by its end."""
PATIENCE = 5.0
"""Seconds after the last audio until a server is left; what has not come by then never comes."""
RAMP = 2.0
"""Seconds in which all sessions begin."""


@dataclass(frozen=True)
class Stream:
    """Audio as messages, and what the model hears in it alone: words with their ends in seconds."""

    messages: list[str]
    words: list[tuple[str, float]]


def streams(transcriber: Transcriber, speech: Speech, seconds: float, n: int) -> list[Stream]:
    """`n` different streams of `seconds` each."""
    size, made = round(BLOCK * speech.rate), []
    for seed in range(n):
        blocks = Speech(speech.folder, speech.rate, seed).blocks(size)
        samples = np.concatenate([next(blocks) for _ in range(round(seconds / BLOCK))])
        pcm = np.round(32767 * samples).astype("<i2")
        alone = transcriber.transcribe(pcm, rate=speech.rate, live=True)
        messages = [append(pcm[at : at + size].tobytes()) for at in range(0, len(pcm), size)]
        made.append(Stream(messages, [(word.text.strip(), word.end) for word in alone.words]))
    return made


@dataclass
class Heard:
    """What one session sent and got, with times of the event loop's clock."""

    stream: Stream
    sent: list[float] = field(default_factory=list)
    deltas: list[tuple[float, str]] = field(default_factory=list)
    lag: float = 0.0
    """Seconds by which the client itself was late at most."""
    error: str = ""

    def latencies(self) -> list[float]:
        """Of each word that counts, from its last audio until its last letter; infinite if it never came."""
        got, times = self._words()
        expected = [word for word, _ in self.stream.words]
        pairs: dict[int, int] = {}
        for a, b, n in SequenceMatcher(None, expected, got, autojunk=False).get_matching_blocks():
            pairs |= zip(range(a, a + n), range(b, b + n), strict=True)
        length = len(self.stream.messages) * BLOCK
        return [
            times[pairs[i]] - self.sent[round(end / BLOCK) - 1] if i in pairs else math.inf
            for i, (_, end) in enumerate(self.stream.words)
            if WARM_UP < end < length - LAST
        ]

    def _words(self) -> tuple[list[str], list[float]]:
        """The words that came, and when the last letter of each did."""
        words, times = [""], [0.0]
        for moment, text in self.deltas:
            for letter in text:
                if not letter.isspace():
                    words[-1], times[-1] = words[-1] + letter, moment
                elif words[-1]:
                    words.append("")
                    times.append(0.0)
        return (words, times) if words[-1] else (words[:-1], times[:-1])


@dataclass(frozen=True)
class Figures:
    """Of one run with some sessions."""

    sessions: int
    words: int
    median: float
    late: float
    """The 95th percentile of the words' latencies, in seconds."""
    lag: float
    error: str


async def run(url: str, dialect: Dialect, model: str, rate: int, heard: Sequence[Heard]) -> Figures:
    """Let sessions speak at once, each its stream."""
    begin = asyncio.get_running_loop().time() + 0.5
    step = RAMP / len(heard)
    await asyncio.gather(
        *(_session(url, dialect, model, rate, each, begin + i * step) for i, each in enumerate(heard))
    )
    latencies = [latency for each in heard for latency in each.latencies()]
    median, late = np.percentile(latencies, [50, 95], method="higher") if latencies else (math.inf, math.inf)
    error = next((each.error for each in heard if each.error), "")
    lag = max(each.lag for each in heard)
    return Figures(len(heard), len(latencies), float(median), float(late), lag, error)


async def _session(url: str, dialect: Dialect, model: str, rate: int, heard: Heard, begin: float) -> None:
    await asyncio.sleep(begin - asyncio.get_running_loop().time())
    try:
        address = url + dialect.path + dialect.query(model)
        async with connect(address, compression=None, open_timeout=PATIENCE, close_timeout=1) as socket:
            await asyncio.wait_for(socket.recv(), PATIENCE)  # session.created
            for event in dialect.begin(model, rate):
                await socket.send(json.dumps(event))
            listening = asyncio.create_task(_listen(socket, dialect, heard))
            try:
                await _speak(socket, heard)
                await socket.send(json.dumps(dialect.end))
                await asyncio.wait_for(listening, PATIENCE)
            finally:
                listening.cancel()
    except TimeoutError:
        pass  # its words did not come, which the latencies tell
    except Exception as error:  # of one session; the run goes on and tells it
        heard.error = f"{type(error).__name__}: {error}"
        heard.sent += [math.inf] * (len(heard.stream.messages) - len(heard.sent))


async def _speak(socket: ClientConnection, heard: Heard) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for i, message in enumerate(heard.stream.messages, 1):
        due, now = begin + i * BLOCK, loop.time()
        await asyncio.sleep(max(0.0, due - now))
        lag = loop.time() - max(due, now)  # the client's own; when a server does not read, that is not
        heard.lag = max(heard.lag, lag)
        heard.sent.append(due + lag)
        await socket.send(message)


async def _listen(socket: ClientConnection, dialect: Dialect, heard: Heard) -> None:
    loop = asyncio.get_running_loop()
    async for message in socket:
        event = json.loads(message)
        if event["type"] == dialect.delta:
            heard.deltas.append((loop.time(), event["delta"]))
        elif event["type"] == dialect.done:
            return
        elif event["type"] == "error":
            heard.error = heard.error or str(event["error"])

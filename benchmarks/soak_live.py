"""Real time: a stand-in for the sounddevice module, under the genuine microphone."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from soak_audio import Speech
from soak_record import Record
from tqdm import tqdm

from voxrun.audio.microphone import BLOCK_SECONDS, Microphone
from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber


class Device:
    """Delivers a block every 80 ms on a thread of its own, and remembers when."""

    def __init__(self, blocks: Iterator[np.ndarray], n: int, ended: Callable[[], None]) -> None:
        self.times = np.zeros(n)
        """When each block was delivered."""
        self.delivered = 0
        self._blocks, self._ended = blocks, ended

    def install(self) -> None:
        """From now on `import sounddevice` finds it."""
        module: Any = ModuleType("sounddevice")
        module.PortAudioError = type("PortAudioError", (Exception,), {})
        module.query_devices = lambda *_: {"default_samplerate": 16000.0}
        module.InputStream = self._stream
        sys.modules["sounddevice"] = module

    def _stream(self, *, callback: Callable[..., None], samplerate: int, **_: Any) -> SimpleNamespace:
        thread = threading.Thread(target=self._play, args=[callback], daemon=True)
        return SimpleNamespace(samplerate=samplerate, active=True, start=thread.start, close=lambda: None)

    def _play(self, callback: Callable[..., None]) -> None:
        begin = time.monotonic()
        good = SimpleNamespace(input_overflow=False)
        for i in range(len(self.times)):
            block = next(self._blocks)
            time.sleep(max(0.0, begin + (i + 1) * BLOCK_SECONDS - time.monotonic()))
            self.times[i] = time.monotonic()
            moment = SimpleNamespace(inputBufferAdcTime=1 + i * BLOCK_SECONDS)
            callback(block[:, None], len(block), moment, good)
            self.delivered = i + 1
        self._ended()


class Live:
    """A session at a microphone."""

    def __init__(self, transcriber: Transcriber, speech: Speech, record: Record) -> None:
        self._session = transcriber.session(live=True)
        self._is_text = transcriber.tokenizer.is_text
        self._microphone = Microphone(speech.rate)
        self._speech, self._record = speech, record
        self._written: dict[float, float] = {}  # a text token's time -> when it came, until its word is final
        self._latencies: list[float] = []

    def run(self, seconds: float, every: float) -> None:
        """Until the device stops, after `seconds`; a row each `every` seconds."""
        blocks = self._speech.blocks(round(BLOCK_SECONDS * self._speech.rate))
        n = round(seconds / BLOCK_SECONDS)
        self._device = Device(blocks, n, self._microphone.stop)
        self._device.install()
        due, most = every, 0
        for block in tqdm(self._microphone, total=n, unit="block", mininterval=1):
            most = max(most, self._device.delivered - round(self._microphone.heard / BLOCK_SECONDS))
            self._latency(self._record.feed(self._session, block))
            if self._session.seconds >= due:
                self._record.row(self._session.seconds, queued=most)
                due, most = due + every, 0

    def _latency(self, result: Result) -> None:
        """A word's, from the delivery of its last block of audio until its last letter was there."""
        now = time.monotonic()
        self._written |= {token.end: now for token in result.tokens if self._is_text(token.id)}
        for word in result.words:
            block = max(0, round(word.end / BLOCK_SECONDS) - 1)
            self._latencies.append(self._written[word.tokens[-1].end] - self._device.times[block])
            for token in word.tokens:
                del self._written[token.end]

    def summary(self) -> str:
        """Words and blocks."""
        if not self._latencies:
            return "no word was heard"
        median, late = 1000 * np.percentile(self._latencies, [50, 95])
        queued = max((row.queued for row in self._record.rows), default=0)
        lost = round((self._device.delivered * BLOCK_SECONDS - self._microphone.heard) * self._speech.rate)
        return (
            f"{len(self._latencies)} words, {median:.0f} ms after their audio (95 %: {late:.0f} ms)"
            f"; at most {queued:.0f} blocks waited; {lost} samples dropped"
        )

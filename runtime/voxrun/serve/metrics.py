"""Figures about a server, in Prometheus' format."""

import time
from collections import deque
from collections.abc import Callable
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from voxrun.device import mx
from voxrun.mlx_thread import busy_seconds
from voxrun.model.description import peak_resident
from voxrun.stream.results import Result

from .errors import Kind

LATENCIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0)
"""Seconds."""
LONGEST_WORD = 10.0
"""Seconds for which the arrival of audio is remembered behind the model's position."""
UNTIMED = ("http",)
"""Protocols of recordings, which arrive at once."""


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.open = Gauge("voxrun_open_sessions", "Sessions open now", ["protocol"], registry=registry)
        self.total = Counter("voxrun_sessions_total", "Sessions begun", ["protocol"], registry=registry)
        self._refused = Counter(
            "voxrun_refused_total", "Requests and events refused", ["kind"], registry=registry
        )
        self.audio = Counter("voxrun_audio_seconds_total", "Audio taken", registry=registry)
        self.tokens = Counter("voxrun_tokens_total", "Tokens, one for each 80 ms of audio", registry=registry)
        self.words = Counter("voxrun_words_total", "Words written", registry=registry)
        self.latency = Histogram(
            "voxrun_latency_seconds",
            "From the arrival of the audio in which a word ends to the moment when the word is sent",
            ["protocol"],
            buckets=LATENCIES,
            registry=registry,
        )
        self.loads = Counter("voxrun_model_loads_total", "Times that the model was loaded", registry=registry)
        self.gauge(
            "voxrun_computing_seconds", "Time in which the model computed, since the start", busy_seconds
        )
        self.gauge(
            "voxrun_real_time_factor",
            "Seconds of computing for a second of audio, since the start",
            lambda: busy_seconds() / (self.heard or 1.0),
        )
        self.gauge(
            "voxrun_mlx_active_bytes", "Memory of arrays in use, the model's too", mx.get_active_memory
        )
        self.gauge("voxrun_mlx_cache_bytes", "Memory that MLX keeps for reuse", mx.get_cache_memory)
        self.gauge("voxrun_peak_resident_bytes", "Most memory resident so far", peak_resident)
        ProcessCollector(registry=registry)  # process_resident_memory_bytes and others; Linux only
        self.heard = 0.0
        """Seconds of audio taken."""
        for kind in Kind:
            self._refused.labels(kind.value)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is asked for when the metrics are read."""
        Gauge(name, about, registry=self._registry).set_function(value)

    def refused(self, kind: Kind) -> None:
        """Count a refusal."""
        self._refused.labels(kind.value).inc()

    def session(self, protocol: str) -> "SessionMeter":
        """What counts a session of this protocol."""
        return SessionMeter(self, protocol)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self._registry)


class SessionMeter:
    """What one session adds to the figures."""

    def __init__(self, metrics: Metrics, protocol: str) -> None:
        self._metrics, self._open = metrics, metrics.open.labels(protocol)
        self._latency = metrics.latency.labels(protocol) if protocol not in UNTIMED else None
        self._heard = 0.0
        self._arrivals = deque[tuple[float, float]]()  # where audio ended, in seconds of it, and when it came
        self._begun = metrics.total.labels(protocol)

    def __enter__(self) -> Self:
        """The session begins."""
        self._open.inc()
        self._begun.inc()
        return self

    def __exit__(self, *_: object) -> None:
        """It has ended."""
        self._open.dec()

    def hear(self, seconds: float) -> None:
        """So much audio has come."""
        self._heard += seconds
        self._metrics.heard += seconds
        self._metrics.audio.inc(seconds)
        if self._latency is not None:
            self._arrivals.append((self._heard, time.monotonic()))

    def told(self, result: Result) -> None:
        """A result has been sent."""
        now = time.monotonic()
        self._metrics.tokens.inc(len(result.tokens))
        self._metrics.words.inc(len(result.words))
        for word in result.words:
            self._pass(word.end)
            if self._latency is not None and self._arrivals:
                self._latency.observe(now - self._arrivals[0][1])
        if result.tokens:
            self._pass(result.tokens[-1].end - LONGEST_WORD)

    def _pass(self, end: float) -> None:
        """Forget audio that ended before this moment, but not the last."""
        while len(self._arrivals) > 1 and self._arrivals[0][0] < end:
            self._arrivals.popleft()

"""All measurements, one after the other: `Measurement.results` has the order."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx
from voxrun.mlx_thread import computed
from voxrun.model.description import peak_resident
from voxrun.parallel import one_blas_thread
from voxrun.stream.at_once import memory
from voxrun.stream.tuning import tuning
from voxrun.transcriber import Transcriber

from .artifact import describe
from .bandwidths import Bandwidth, known_bandwidth
from .listening import first_token, hear, noise, recording
from .machine import machine, resident
from .passes import Passes
from .proposal import least
from .reading import measured_bandwidth
from .results import Heard, Loading, Memory, Results, Spread
from .tables import counted
from .timing import Effort, by_size

WINDOW_SHARE = 0.25
"""Of the memory, at most, for the caches of a full window."""
SHORTEST = 2.0
"""Seconds of audio to hear, however slow the device."""
Tell = Callable[[str], object]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What to measure."""

    folder: Path
    effort: Effort
    audio: Path | None = None
    """A recording with speech."""
    bandwidth: float | None = None
    """GB/s of the memory, if the user knows better than the table."""


class Measurement:
    """One run of all; `tell` gets a line before each part."""

    def __init__(self, asked: Asked, tell: Tell) -> None:
        """Loads the model. Raises ConfigError, WeightsError; VoxrunError for a tuning that cannot be used."""
        self._asked, self._effort, self._tell = asked, asked.effort, tell
        self._tuning = tuning()
        self._left_out: list[str] = []
        tell("loading the model")
        begun = time.perf_counter()
        self._transcriber = Transcriber.load(asked.folder)
        seconds = time.perf_counter() - begun
        self._loading = Loading(seconds, resident(), mx.get_active_memory())

    def results(self) -> Results:
        """Measure. Raises AudioError if the recording cannot be read, WeightsError for damaged weights."""
        signal = self._signal  # a recording that cannot be read is reported at once
        blocks, steps = self._blocks(), self._steps()
        full, difference = self._behind_a_full_window(max(steps)), self._differences(steps)
        self._tell("the first token")
        first = first_token(self._transcriber, signal, self._effort)
        heard = self._heard(_position_cost(blocks, steps))
        used = Memory(peak_resident(), mx.get_active_memory(), mx.get_peak_memory(), mx.get_cache_memory())
        primitives = _in_mlx_thread(self._passes.primitives)
        self._tell("the speed of memory")  # last: it takes a gigabyte
        read = _in_mlx_thread(measured_bandwidth, self._effort, memory())
        here = machine()
        return Results(
            machine=here,
            weights=describe(self._asked.folder, self._transcriber.model),
            loading=self._loading,
            bandwidth=self._bandwidth(here.name, read),
            read=read,
            position=1 / self._transcriber.model.config.audio.frame_rate,
            steps=steps,
            full=full,
            blocks=blocks,
            difference=difference,
            first_token=first,
            heard=heard,
            memory=used,
            primitives=primitives,
            left_out=self._left_out,
        )

    @cached_property
    def _signal(self) -> FloatArray:
        """What is heard, as samples [n]."""
        rate, seconds = self._transcriber.rate, self._effort.audio
        if self._asked.audio is None:
            return noise(seconds, rate)
        return recording(self._asked.audio, rate, seconds)

    @cached_property
    def _passes(self) -> Passes:
        return _in_mlx_thread(Passes, self._transcriber.model, self._transcriber.tokenizer, self._signal)

    def _blocks(self) -> dict[int, Spread]:
        def block(positions: int) -> Spread:
            self._tell(f"encoder, {counted(positions, 'position')}")
            return _in_mlx_thread(self._passes.encoder, positions, self._effort)

        return by_size(self._effort.blocks, block, self._effort, self._leave_out("positions in the encoder"))

    def _steps(self, full_window: bool = False, rows: tuple[int, ...] = ()) -> dict[int, Spread]:
        where = " behind a full window" if full_window else ""

        def step(rows: int) -> Spread:
            self._tell(f"decoder, {counted(rows, 'row')}{where}")
            return _in_mlx_thread(self._passes.decoder, rows, self._effort, full_window)

        return by_size(
            rows or self._effort.rows, step, self._effort, self._leave_out(f"rows in the decoder{where}")
        )

    def _behind_a_full_window(self, most: int) -> dict[int, Spread]:
        decoder, size = self._transcriber.model.config.decoder, self._transcriber.model.dtype.size
        entry = 2 * decoder.n_layers * decoder.n_kv_heads * decoder.head_dim * size
        if not self._effort.full_window:
            return {}
        if decoder.sliding_window * entry > WINDOW_SHARE * memory():
            self._left_out.append("a full window: its keys and values need a quarter of the memory")
            return {}
        return self._steps(True, tuple(sorted({1, min(self._tuning.look_ahead[-1], most)})))

    def _differences(self, steps: dict[int, Spread]) -> dict[int, float]:
        """For the numbers of rows that were measured, as far as there is time to compute each row alone."""
        self._tell("logits of rows alone and together")
        most = self._effort.longest / steps[1].least
        return _in_mlx_thread(self._passes.differences, [n for n in steps if 1 < n <= most])

    def _heard(self, position_cost: float) -> Heard:
        """As much of the signal as can be heard in the time that there is."""
        rate, position = self._transcriber.rate, 1 / self._transcriber.model.config.audio.frame_rate
        affordable = max(SHORTEST, self._effort.hearing * position / position_cost)
        samples = self._signal[: round(affordable * rate)]
        self._tell(f"a transcription of {len(samples) / rate:.1f} s")
        return hear(self._transcriber, samples, self._asked.audio is not None)

    def _bandwidth(self, device: str, read: Bandwidth) -> Bandwidth:
        if self._asked.bandwidth is not None:
            return Bandwidth(self._asked.bandwidth, "--bandwidth")
        return known_bandwidth(device) or read

    def _leave_out(self, what: str) -> Callable[[int], None]:
        return lambda n: self._left_out.append(f"{n} and more {what}: a pass may take too long")


def _position_cost(blocks: dict[int, Spread], steps: dict[int, Spread]) -> float:
    """Seconds for a position, about: of the largest encoder pass, and of a decoder pass of its own."""
    return least(blocks)[max(blocks)] / max(blocks) + steps[1].median


def _in_mlx_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of function(*args, **kwargs), called as the scheduler calls the model."""

    def work() -> Any:
        with one_blas_thread(), np.errstate(all="ignore"):
            return function(*args, **kwargs)

    result: T = computed(work)
    return result

"""A stand-in for the sounddevice module, its errors included: no PortAudio is needed."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class PortAudioError(Exception):
    pass


DEVICES = [
    {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48000.0},
    {"name": "Built-in", "max_input_channels": 2, "default_samplerate": 48000.0},
    {"name": "USB", "max_input_channels": 1, "default_samplerate": 16000.0},
]


class FakeDevice:
    """`plays`: what happens once a stream was started, one for each opening; an error refuses it.

    `options` and `closed` are what it was asked, `layouts` the (rate, channels) it can do, None: any.
    """

    def __init__(self) -> None:
        self.plays: list[Any] = []
        self.options: list[dict[str, Any]] = []
        self.closed = self.restarts = 0
        self.layouts: list[tuple[int, int]] | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module: Any = ModuleType("sounddevice")
        module.InputStream, module.PortAudioError = self._stream_class(), PortAudioError
        module.default = SimpleNamespace(device=(1, 0))
        module.query_devices = self._query
        module._terminate, module._initialize = lambda: None, self._restart
        monkeypatch.setitem(sys.modules, "sounddevice", module)

    def _restart(self) -> None:
        self.restarts += 1

    def _query(self, device: Any = None, kind: str | None = None) -> Any:
        if kind is None:
            return DEVICES
        if device is None:
            return DEVICES[1]
        for index, known in enumerate(DEVICES):
            if device == index or (isinstance(device, str) and device in known["name"]):
                return known
        raise ValueError(f"No input device matching {device!r}")

    def _stream_class(self) -> type:
        device = self

        class InputStream:
            active = True

            def __init__(self, *, callback: Callable[..., None], **options: Any) -> None:
                device.options.append(options)
                self.samplerate = float(options["samplerate"])
                self._callback, self._channels = callback, options["channels"]
                if options["device"] is not None:
                    device._query(options["device"], "input")
                layout = (options["samplerate"], options["channels"])
                if device.layouts is not None and layout not in device.layouts:
                    raise PortAudioError(f"Invalid sample rate or channels: {layout}")

            def start(self) -> None:
                play = device.plays.pop(0) if device.plays else PortAudioError("no such device")
                if isinstance(play, Exception):
                    raise play
                play(self)

            def __call__(self, samples: np.ndarray, begin: float = 0.0, overflow: bool = False) -> None:
                buffer = np.repeat(samples[:, None], self._channels, axis=1)
                moment = SimpleNamespace(inputBufferAdcTime=begin)
                self._callback(buffer, len(samples), moment, SimpleNamespace(input_overflow=overflow))
                buffer[:] = np.nan  # PortAudio's buffer is not ours to keep

            def close(self) -> None:
                device.closed += 1

        return InputStream


def blocks(samples: np.ndarray) -> list[np.ndarray]:
    """Samples as a device hands them over."""
    return [samples[start : start + 1280] for start in range(0, len(samples), 1280)]

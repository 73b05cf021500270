"""What ran, where, how fast and in how much memory, for --stats."""

import time

from voxrun.device import mx
from voxrun.messages import sentence
from voxrun.model.description import device, peak_resident, weights
from voxrun.model.voxtral import VoxtralRealtime


class Stats:
    """Totals over all recordings of a run."""

    def __init__(self) -> None:
        self.loading = self.audio = self.wall = 0.0
        self.steps = self.passes = 0
        self.at_once = 1
        """Most recordings that were heard at once."""
        self.model = ""
        self._since = time.perf_counter()

    def loaded(self, name: str, model: VoxtralRealtime, delay_ms: float) -> None:
        """A model of this name is loaded now, to be used with this delay."""
        self.model = f"{sentence(name)}, {weights(model)}, delay {delay_ms:g} ms"
        self.loading = time.perf_counter() - self._since

    def start(self, at_once: int = 1) -> None:
        """Hearing begins, of so many recordings at once."""
        self.at_once = max(self.at_once, at_once)
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Hearing ended."""
        self.wall += time.perf_counter() - self._since

    def add(self, audio: float, steps: int, passes: int) -> None:
        """A recording of `audio` seconds was decoded to `steps` tokens in `passes` of the decoder."""
        self.audio += audio
        self.steps += steps
        self.passes += passes

    def report(self) -> str:
        """A line for each figure."""
        rate = self.audio / self.wall if self.wall else 0.0
        factor = self.wall / self.audio if self.audio else 0.0
        step = 1000 * self.wall / self.steps if self.steps else 0.0
        passes = self.passes / self.steps if self.steps else 0.0
        together = f", {self.at_once} recordings at once" if self.at_once > 1 else ""
        return (
            f"model   {self.model}\n"
            f"device  {device()}\n"
            f"load    {self.loading:.2f} s\n"
            f"audio   {self.audio:.2f} s\n"
            f"wall    {self.wall:.2f} s, real-time factor {factor:.3f} ({rate:.1f} times as fast){together}\n"
            f"decode  {self.steps} tokens in {self.passes} passes ({passes:.2f} a token),"
            f" {step:.2f} ms a token, encoder and all\n"
            f"memory  {peak_resident() / 1e6:.0f} MB resident at most,"
            f" {mx.get_peak_memory() / 1e6:.0f} MB of it MLX's"
        )

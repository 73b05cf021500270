"""Speed and memory of a run, for --stats."""

import resource
import sys
import time

from voxrun.device import mx


class Stats:
    """Totals over all recordings of a run."""

    def __init__(self) -> None:
        self.loading = self.audio = self.wall = 0.0
        self.steps = self.passes = 0
        self._since = time.perf_counter()

    def loaded(self) -> None:
        """The model is loaded now."""
        self.loading = time.perf_counter() - self._since

    def start(self) -> None:
        """A recording begins."""
        self._since = time.perf_counter()

    def stop(self, audio: float, steps: int, passes: int) -> None:
        """It ended after `audio` seconds of sound, decoded to `steps` tokens in `passes` of the decoder."""
        self.wall += time.perf_counter() - self._since
        self.audio += audio
        self.steps += steps
        self.passes += passes

    def report(self) -> str:
        """A line for each figure."""
        rate = self.audio / self.wall if self.wall else 0.0
        factor = self.wall / self.audio if self.audio else 0.0
        step = 1000 * self.wall / self.steps if self.steps else 0.0
        return (
            f"load    {self.loading:.2f} s\n"
            f"audio   {self.audio:.2f} s\n"
            f"wall    {self.wall:.2f} s, real-time factor {factor:.3f} ({rate:.1f} times as fast)\n"
            f"decode  {self.steps} steps in {self.passes} passes, {step:.2f} ms a step, encoder and all\n"
            f"memory  {peak_resident() / 1e6:.0f} MB resident at most,"
            f" {mx.get_peak_memory() / 1e6:.0f} MB of it MLX's"
        )


def peak_resident() -> int:
    """The largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

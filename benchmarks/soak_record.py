"""What a long run measures: rows in a CSV file as they come, curves, and a line that sums them up."""

import csv
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from soak_plot import plot

from voxrun.device import mx
from voxrun.stream.results import Result
from voxrun.stream.session import Session

MEGABYTE = 1e6
POSITION = 0.08
"""Seconds of audio for a token."""
EARLY = 600.0
"""Seconds of audio after which memory is first told: the decoder's window is about full."""
WARM_UP = 1800.0
"""Seconds of audio after which memory must be flat."""


@dataclass(frozen=True)
class Row:
    """One interval."""

    audio: float
    """Seconds of audio since the beginning."""
    wall: float
    """Seconds that the interval's feeds took."""
    cpu: float
    """Seconds of processor time, of all threads: another program on the machine does not add to it."""
    rtf: float
    """`wall` for each second of the interval's audio."""
    resident: float
    """MB of the process in memory."""
    mlx_active: float
    """MB in MLX's arrays."""
    mlx_cache: float
    """MB that MLX keeps for arrays to come."""
    drift: float
    """Positions by which the last token's time, plus the delay, is behind the audio that was fed."""
    queued: float = 0.0
    """Blocks that waited in the microphone's queue at most."""
    word_end: float = 0.0
    """Median of last word's end - end of its clip, in seconds."""
    wer: float = 0.0


def resident() -> int:
    """Bytes of this process in memory now."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 1024 * int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


class Record:
    """Feeds a session and measures it; a row ends an interval, into the CSV file and the plot at once."""

    def __init__(self, folder: Path, name: str, delay: float) -> None:
        """`delay`: the session's, in seconds."""
        folder.mkdir(parents=True, exist_ok=True)
        self._table, self._plot, self._delay = folder / f"{name}.csv", folder / f"{name}.svg", delay
        self.rows: list[Row] = []
        self._begin(0.0)

    def _begin(self, audio: float) -> None:
        self._since, self._wall, self._cpu, self._drift = audio, 0.0, 0.0, 0.0

    def feed(self, session: Session, samples: np.ndarray) -> Result:
        """Only this is timed."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = session.feed(samples)
        self._wall += time.perf_counter() - wall
        self._cpu += time.process_time() - cpu
        if result.tokens:
            behind = session.seconds - result.tokens[-1].end - self._delay
            self._drift = max(self._drift, behind / POSITION, key=abs)
        return result

    def row(self, audio: float, **more: float) -> None:
        """`audio`: seconds fed so far; `more`: what else a Row has."""
        rtf = self._wall / max(audio - self._since, POSITION)
        mlx = mx.get_active_memory() / MEGABYTE, mx.get_cache_memory() / MEGABYTE
        memory = resident() / MEGABYTE, *mlx
        self.rows.append(Row(audio, self._wall, self._cpu, rtf, *memory, self._drift, **more))
        self._begin(audio)
        self._write()

    def _write(self) -> None:
        with self._table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.4f}" for k, v in asdict(row).items()} for row in self.rows)
        if len(self.rows) > 1:
            self._plot.write_text(plot(self.rows), encoding="utf-8")

    def summary(self) -> str:
        """What a reader asks first."""
        if not self.rows:
            return "nothing was measured: the first interval did not end"
        first, last = self.rows[0], self.rows[-1]
        early = next((row for row in self.rows if row.audio >= EARLY), first)
        drift = max((row.drift for row in self.rows), key=abs)
        return "; ".join(
            [
                f"{last.audio / 3600:.2f} h of audio",
                f"resident {early.resident:.1f} MB at {early.audio / 60:.0f} min",
                f"{last.resident:.1f} MB at the end",
                slope(self.rows),
                f"real-time factor {first.rtf:.4f} at first, {last.rtf:.4f} at last",
                f"drift at most {drift:.2f} positions",
            ]
        )


def slope(rows: Sequence[Row]) -> str:
    """Least squares over the rows after the warm-up."""
    late = [(row.audio / 3600, row.resident) for row in rows if row.audio >= WARM_UP]
    if len(late) < 3:
        return "too short for a slope"
    return f"{np.polyfit(*zip(*late, strict=True), 1)[0]:+.3f} MB an hour"

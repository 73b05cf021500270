"""Sessions at once as a worker: `python -m benchmarks.workers.growth MODEL CLIP SECONDS SESSIONS`."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .common import RATE, memory, report, timed


def main(folder: Path, clip: Path, seconds: float, n: int) -> None:
    """N sessions hear the first seconds of a clip at the same time, each from a thread of its own."""
    import soundfile

    from voxrun.transcriber import Transcriber

    samples = soundfile.read(clip, frames=round(seconds * RATE), dtype="float32")[0]
    transcriber = Transcriber.open(folder)
    transcriber.transcribe(samples[:RATE], rate=RATE)  # does not count

    def hear(_: int) -> str:
        return transcriber.transcribe(samples, rate=RATE).text

    with ThreadPoolExecutor(n) as threads, timed("heard_s"):
        texts = set(threads.map(hear, range(n)))
    report(texts=len(texts), **memory())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)

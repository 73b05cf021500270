"""What all workers share: tasks, clocks, memory. A worker is one fresh process that knows one peer only.

It reports figures as JSON lines on stdout as soon as it has them, so that a run cut short still tells some:
seconds end in `_s`, bytes in `_bytes`. Only the standard library and NumPy are used here.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

RATE = 16_000
_MEMORY_FIELDS = {"rss_bytes": "VmRSS", "peak_bytes": "VmHWM"}
BATCH = 8
"""Decode steps timed together where they are short: every peer overlaps one step with the next."""
SHORT_STEP = 0.5
MOST_BATCHES = 5
SHORTEST = 0.16
"""Seconds of audio that bring out an embedding or two."""


class Peer:
    """One runtime, driven as its own command drives it. Constructing it imports it."""

    package = ""
    """Name of the distribution."""
    backend = "mlx"
    """That of what computes."""
    n_layers = 0
    """Layers of the encoder, set by `load`; 0 where only the whole encoder can be run."""

    def load(self, folder: Path) -> None:
        """Make the model ready."""
        raise NotImplementedError

    def transcribe(self, path: Path, args: argparse.Namespace) -> dict[str, Any]:
        """Transcribe a recording: figures, `text` among them."""
        raise NotImplementedError

    def decode(self, n: int) -> None:
        """Run n more decode steps of one position each, to the last token."""
        raise NotImplementedError

    def encode(self, samples: Any, layers: int) -> None:
        """Samples [n] to audio embeddings with the first `layers` of the encoder: mel, encoder, adapter."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """What is worth knowing about the environment."""
        import mlx.core as mx

        return {"device": str(mx.default_device().type).split(".")[-1]}


def report(**figures: Any) -> None:
    """Tell the parent."""
    print(json.dumps(figures), flush=True)


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextlib.contextmanager
def timed(name: str) -> Iterator[None]:
    """Report the seconds that a block takes."""
    start = time.perf_counter()
    yield
    report(**{name: time.perf_counter() - start})


def memory() -> dict[str, int]:
    """Resident memory now and at its peak."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: on Linux that includes what the parent had before exec
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return {name: 1024 * int(fields[key].split()[0]) for name, key in _MEMORY_FIELDS.items()}
    now = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rss_bytes": 1024 * int(now.stdout), "peak_bytes": peak}  # bytes on macOS


def noise(duration: float) -> Any:
    """Faint noise: silence could be faster or slower than sound, noise is neither."""
    import numpy as np

    return (0.05 * np.random.default_rng(0).standard_normal(round(duration * RATE))).astype(np.float32)


def transcribe(peer: Peer, args: argparse.Namespace) -> None:
    """A recording from the file to the text."""
    with timed("transcribe_s"):
        figures = peer.transcribe(args.audio[0], args)
    report(**figures)


def decode(peer: Peer, args: argparse.Namespace) -> None:
    """The median decode step at the start of a stream: one batch at least, more within the budget."""
    first = seconds(lambda: peer.decode(1))
    on_gpu = peer.about()["device"] == "gpu"  # there the first step compiles
    size = BATCH if on_gpu or first < SHORT_STEP else 1
    batches: list[float] = []
    while not batches or (len(batches) < MOST_BATCHES and sum(batches) < args.budget):
        batches.append(seconds(lambda: peer.decode(size)))
    report(step_s=statistics.median(batches) / size, steps=size * len(batches))


def encode(peer: Peer, args: argparse.Namespace) -> None:
    """The encoder over some seconds; with `--layers`, only those layers, and the rest is their like."""
    layers = min(args.layers or peer.n_layers, peer.n_layers)
    peer.encode(noise(1.0), layers)
    samples = noise(args.seconds)
    measured = seconds(lambda: peer.encode(samples, layers))
    if layers == peer.n_layers:
        return report(encode_s=measured)
    rest = seconds(lambda: peer.encode(samples, 0))
    estimate = rest + (measured - rest) * peer.n_layers / layers
    report(encode_s=estimate, layers=layers, n_layers=peer.n_layers)


TASKS = {"transcribe": transcribe, "decode": decode, "encode": encode}


def arguments(tasks: dict[str, Any]) -> argparse.Namespace:
    """What the parent wants."""
    p = argparse.ArgumentParser()
    p.add_argument("task", choices=[*tasks, "about"])
    p.add_argument("--model", type=Path)
    p.add_argument("--audio", type=Path, nargs="+")
    p.add_argument("--seconds", type=float, default=10.0)
    p.add_argument("--layers", type=int, default=0)
    p.add_argument("--budget", type=float, default=10.0, help="seconds for decode steps")
    p.add_argument("--look-ahead", type=int)
    return p.parse_args()


def main(peer_class: type[Peer], more: dict[str, Any] | None = None) -> None:
    """Do one task: import, load, measure."""
    tasks = TASKS | (more or {})
    args = arguments(tasks)
    with timed("import_s"):
        peer = peer_class()
    if args.task == "about":
        return about(peer)
    with timed("load_s"):
        peer.load(args.model)
    report(loaded_bytes=memory()["rss_bytes"])
    tasks[args.task](peer, args)
    report(**memory())


def about(peer: Peer) -> None:
    """Versions and device."""
    versions = {name: version(name) for name in (peer.package, peer.backend)}
    report(version=versions[peer.package], python=platform.python_version(), **versions, **peer.about())

"""voxrun as a worker: `python -m benchmarks.workers.voxrun TASK --model DIR ...`."""

import argparse
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .common import RATE, Peer, main, memory, report, timed

WARM_UP = 5.0
BLOCK = 5.0
"""Seconds fed at once, as for files."""


class Voxrun(Peer):
    """Ours, through its session; steps and encoder through the session's two halves."""

    package = "voxrun-mlx"

    def __init__(self) -> None:
        import voxrun.transcriber

        self._api = voxrun.transcriber
        self._generator: Any = None

    def load(self, folder: Path) -> None:
        """As `Peer` says."""
        self._transcriber = self._api.Transcriber.open(folder)

    def transcribe(self, path: Path, args: argparse.Namespace) -> dict[str, Any]:
        """As `Peer` says."""
        from voxrun.audio.file import FileSource

        options = {"look_ahead": args.look_ahead} if args.look_ahead else {}
        session = self._transcriber.session(**options)
        results = self._api.listen(session, FileSource(path, self._transcriber.rate))
        text = "".join(result.text for result in results).strip()
        return {"text": text, "tokens": session.n_tokens, "passes": session.n_passes}

    def decode(self, n: int) -> None:
        """As `Peer` says."""
        if self._generator is None:
            self._generator = self._begin()
        self._run(self._block(n))

    def encode(self, samples: Any, layers: int) -> None:
        """As `Peer` says."""
        import numpy as np

        from voxrun.stream.listener import Listener

        listener = Listener(self._transcriber.model)
        listener.feed(np.pad(samples, (0, listener.look_ahead)))  # the last position needs those

    def about(self) -> dict[str, Any]:
        """The device, and whose kernels compute there."""
        from voxrun.device import device_name, own_kernels

        return {"device": device_name(), "kernels": "its own" if own_kernels() else "MLX's"}

    def _begin(self) -> Any:
        """A generator past its prompt; no guesses, and EOS is a pause, so that each position is a step."""
        from voxrun.stream.generator import Generator
        from voxrun.stream.sampling import Sampler
        from voxrun.stream.schedule import Schedule

        model, tokenizer = self._transcriber.model, self._transcriber.tokenizer
        schedule = Schedule.for_delay(model.config.audio, tokenizer, None)
        sampler = Sampler(tokenizer.pad, 0.0, 0, None)
        self._generator = Generator(model, tokenizer, schedule, sampler, live=True, most_rows=1)
        self._run(self._block(schedule.prompt_length))
        return self._generator

    def _run(self, block: Any) -> None:
        """As the scheduler decodes one stream."""
        from voxrun.stream.decoding import one_pass

        self._generator.hear(block)
        while self._generator.ready:
            for take in one_pass(self._transcriber.model, [self._generator]):
                take()

    def _block(self, n: int) -> Any:
        """Audio embeddings [1, n, dim] of nothing in particular."""
        import numpy as np

        from voxrun.device import mx

        model = self._transcriber.model
        block = np.full((1, n, model.config.decoder.dim), 0.01, np.float32)
        return block if isinstance(model.gains(1)[0], np.ndarray) else mx.array(block).astype(model.dtype)

    def stream(self, sound: Iterator[Any], seconds: float) -> None:
        """Hear so many seconds; live, so that an end-of-stream token does not end the work."""
        session = self._transcriber.session(live=True)
        samples = round(seconds * RATE)
        while samples > 0:
            block = next(sound)[:samples]
            session.feed(block)
            samples -= len(block)
        session.finish()


def endless(paths: list[Path]) -> Iterator[Any]:
    """Blocks of the recordings, one after the other, again and again."""
    import soundfile

    for path in itertools.cycle(paths):
        yield from soundfile.blocks(path, blocksize=round(BLOCK * RATE), dtype="float32")


def stream(peer: Any, args: argparse.Namespace) -> None:
    """A stream of `--seconds`, made on the fly."""
    peer.stream(endless(args.audio), WARM_UP)
    report(begun_bytes=memory()["rss_bytes"])
    with timed("stream_s"):
        peer.stream(endless(args.audio), args.seconds)


if __name__ == "__main__":
    main(Voxrun, {"stream": stream})
    os._exit(0)  # as the command itself leaves: see voxrun.cli.main.command

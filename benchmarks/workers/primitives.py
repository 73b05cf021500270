"""Primitives of a pass, and how often the host waits, of one runtime.

    python -m benchmarks.workers.primitives voxrun|voxmlx graphs|host|waits --model DIR [--clip FILE]

Prints JSON. Graphs are built and not evaluated. A GPU has kernels where MLX's CPU composes a function of
primitives: norm, rotation, attention, dequantizing. So each graph is counted twice, as it is here, and with
one primitive for each of those.
"""

import argparse
import io
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

FREE = {
    "Broadcast",
    "ExpandDims",
    "Flatten",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unflatten",
}
"""Primitives that a GPU need not launch a kernel for, as a rule: other views of the same memory."""
POSITIONS = 4
"""Encoded in a pass."""
STEPS = 100
"""Built to tell how long that takes the host."""
KERNELS = {
    "rms_norm": "RMSNorm",
    "rope": "RoPE",
    "scaled_dot_product_attention": "ScaledDotProductAttention",
    "dequantize": "Dequantize",
}
"""Functions that MLX's CPU composes, and their primitives on a GPU."""


def primitives(*arrays: Any) -> Counter[str]:
    """The primitives, by name, that must run before these arrays are there."""
    text = io.StringIO()
    mx.export_to_dot(text, *arrays)
    return Counter(re.findall(r'\{ \d+ \[label ="(\w+)", shape=rectangle\]', text.getvalue()))


def count(build: Callable[[], Sequence[Any]]) -> dict[str, Any]:
    """Of a pass that `build` gives the results of: here, as on a GPU, and there without views."""
    results = build()
    here = primitives(*results)
    mx.eval(results)  # what was kept for the next pass, too
    with kernels_of_a_gpu() as called:
        gpu = primitives(*build())
    assert gpu.pop("Depends") == called.total()
    gpu += called
    launched = sum(n for name, n in gpu.items() if name not in FREE)
    return {"here": here.total(), "gpu": gpu.total(), "launched": launched, "kinds": dict(gpu)}


@contextmanager
def kernels_of_a_gpu() -> Iterator[Counter[str]]:
    """Meanwhile functions that have a kernel on a GPU are one primitive each; what they compute is wrong.

    Yields how often each was called.
    """
    evaluate, called = mx.eval, Counter[str]()
    before = [(mx if name == "dequantize" else mx.fast, name) for name in KERNELS]
    originals = [getattr(owner, name) for owner, name in before]

    def one(name: str, x: Any, *others: Any, **named: Any) -> Any:
        called[KERNELS[name]] += 1
        needed = [other for other in (*others, *named.values()) if isinstance(other, mx.array)]
        return mx.depends(x, needed)

    def dequantize(packed: Any, scales: Any, biases: Any = None, **named: Any) -> Any:
        columns = scales.shape[-1] * (named.get("group_size") or 32)
        called["Dequantize"] += 1
        rows = mx.zeros((*packed.shape[:-1], columns), scales.dtype if biases is not None else mx.bfloat16)
        evaluate(rows)
        return mx.depends(rows, [packed, scales] + ([] if biases is None else [biases]))

    try:
        for owner, name in before:
            setattr(owner, name, dequantize if name == "dequantize" else partial(one, name))
        yield called
    finally:
        for (owner, name), original in zip(before, originals, strict=True):
            setattr(owner, name, original)


def building(build: Callable[[], Any]) -> float:
    """The least time of this thread in microseconds that a step's graph takes to build."""
    times = []
    with kernels_of_a_gpu():
        for _ in range(STEPS):
            begun = time.thread_time()
            result = build()
            times.append(time.thread_time() - begun)
            mx.eval(result)
    return 1e6 * min(times)


class Waits:
    """Counts how often the host submits work, and waits for or reads a result."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._wrap(mx, "eval", "waits", lambda *a: True)
        self._wrap(mx, "async_eval", "submissions", lambda *a: True)
        for name in ("asarray", "array"):
            self._wrap(np, name, "reads", lambda *a: isinstance(a[0], mx.array))
        for name in ("item", "tolist"):
            self._wrap(mx.array, name, "reads", lambda *a: True)

    def _wrap(self, owner: Any, name: str, kind: str, counts: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **named: Any) -> Any:
            self.counts[kind] += counts(*args)
            return original(*args, **named)

        setattr(owner, name, call)

    def per(self, tokens: int) -> dict[str, float]:
        """Of each kind, for a token."""
        return {kind: round(self.counts[kind] / tokens, 2) for kind in ("submissions", "waits", "reads")}


class Voxrun:
    """Ours, of whatever version is on the path."""

    def __init__(self, folder: Path) -> None:
        import voxrun.model.linear as linear
        from voxrun.model.load import load_model

        linear.on_cpu = lambda: False  # type: ignore[attr-defined]  # products on packed weights, as on a GPU
        self.folder, self.model = folder, load_model(folder)
        self._audio = self.model.encode(self._mel(8), self.model.encoder_state())
        mx.eval(self._audio)

    def graphs(self) -> dict[str, dict[str, Any]]:
        """What is counted."""
        streams = {"1 row": [1], "4 rows": [4], "4 streams, 1 row each": [1] * 4, "1 row, 2000 later": [1]}
        found = {}
        for name, counts in streams.items():
            caches = [self.model.decoder_caches() for _ in counts]
            earlier = 500 if "later" in name else 2
            for _ in range(earlier):
                self._advance([4 if "later" in name else n for n in counts], caches)
            found[name] = count(lambda counts=counts, caches=caches: [self._step(counts, caches)])
        if hasattr(self.model, "compile_steps"):
            found |= {
                f"{name}, compiled": self._compiled(rows) for name, rows in (("1 row", 1), ("4 rows", 4))
            }
        state = self.model.encoder_state()
        mx.eval(self._encode(state))
        return found | {f"encoder, {POSITIONS} positions": count(lambda: self._encode(state))}

    def _compiled(self, rows: int) -> dict[str, Any]:
        caches = self.model.decoder_caches()
        self._advance([2], [caches])

        def traced() -> list[Any]:
            self.model.compile_steps()
            return [self._step([rows], [caches])]

        found = count(traced)
        self.model.language_model._compiled = None
        return found

    def host(self) -> dict[str, float]:
        """Microseconds in which the host builds a step's graph, by rows: nothing is computed meanwhile."""
        found = {}
        for name, counts in {"1 row": [1], "4 rows": [4], "4 streams, 1 row each": [1] * 4}.items():
            caches = [self.model.decoder_caches() for _ in counts]
            self._advance(counts, caches)
            found[name] = building(lambda counts=counts, caches=caches: self._step(counts, caches))
        if hasattr(self.model, "compile_steps"):
            self.model.compile_steps()
            for name, rows in (("1 row", 1), ("4 rows", 4)):
                own = self.model.decoder_caches()
                self._advance([4], [own])
                found[f"{name}, compiled"] = building(lambda own=own, rows=rows: self._step([rows], [own]))
            self.model.language_model._compiled = None
        return found

    def _advance(self, counts: list[int], caches: list[Any]) -> None:
        mx.eval(self._step(counts, caches))

    def _step(self, counts: list[int], caches: list[Any]) -> Any:
        from voxrun.model.voxtral import DecoderRows

        gains = self.model.gains(6)
        pairs = zip(counts, caches, strict=True)
        rows = [DecoderRows([1] * n, self._audio[:, :n], gains, own) for n, own in pairs]
        return mx.argmax(self.model.language_model.logits(self.model.decode_all(rows)), axis=-1)

    def _encode(self, state: Any) -> list[Any]:
        evaluators, mx.eval, mx.async_eval = (mx.eval, mx.async_eval), _nothing, _nothing
        embeddings = self.model.encode(self._mel(POSITIONS), state)
        mx.eval, mx.async_eval = evaluators
        return [embeddings, state.mel_tail, state.conv_tail]

    def _mel(self, positions: int) -> Any:
        config = self.model.config
        return np.zeros((config.mel_per_position * positions, config.audio.num_mel_bins), np.float32)

    def waits(self, clip: Path) -> dict[str, dict[str, float]]:
        """With look-ahead, and without."""
        from voxrun.audio.file import FileSource
        from voxrun.transcriber import Transcriber, listen

        found, transcriber = {}, Transcriber.open(self.folder)
        for name, options in (("with look-ahead", {}), ("without", {"look_ahead": 1})):
            counted, session = Waits(), transcriber.session(**options)
            list(listen(session, FileSource(clip, transcriber.rate)))
            found[name] = counted.per(session.n_tokens)
        return found


class Voxmlx:
    """voxmlx 0.0.2."""

    def __init__(self, folder: Path) -> None:
        from .voxmlx import Voxmlx as Peer

        self._peer, self.folder = Peer(), folder
        self._peer.load(folder)

    def graphs(self) -> dict[str, dict[str, Any]]:
        """What is counted: it has no rows but one."""
        from .common import SHORTEST, noise

        self._peer.decode(2)
        step = count(lambda: [self._peer._step(self._peer._token)])
        self._peer._caches = None
        samples = noise(max(SHORTEST, POSITIONS * 0.08))
        encoder = count(lambda: [self._peer._embeddings(samples, self._peer.n_layers)])
        return {"1 row": step, f"encoder, {POSITIONS} positions": encoder}

    def host(self) -> dict[str, float]:
        """Microseconds in which the host builds a step's graph."""
        self._peer.decode(2)
        return {"1 row": building(lambda: self._peer._step(self._peer._token))}

    def waits(self, clip: Path) -> dict[str, dict[str, float]]:
        """As its command transcribes."""
        counted = Waits()
        told = self._peer.transcribe(clip, argparse.Namespace())
        return {"without": counted.per(told["tokens"])}


def _nothing(*_: Any) -> None:
    pass


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runtime", choices=("voxrun", "voxmlx"))
    p.add_argument("what", choices=("graphs", "host", "waits"))
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--clip", type=Path)
    options = p.parse_args()
    os.environ["VOXRUN_KERNELS"] = "none"
    mx.set_default_device(mx.cpu)
    runtime: Any = {"voxrun": Voxrun, "voxmlx": Voxmlx}[options.runtime](options.model)
    print(json.dumps(getattr(runtime, options.what)(*([options.clip] if options.clip else []))))

"""Many sessions on one model: whoever else is there, each says what it says alone."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from small_models import random_tensors, small_model, small_params, write_artifact

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx, nn
from voxrun.stream.results import Result, Transcript, joined
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

SECOND = np.zeros(16000, np.float32)
LETTER, PAD, WORD = 100, 32, 33


@dataclass(frozen=True)
class Stream:
    """One session's options and audio."""

    start: int
    length: int
    chunk: int
    options: dict[str, Any]
    leaves: bool
    """Whether it is cancelled after its first half."""
    threaded: bool


streams = st.builds(
    Stream,
    start=st.integers(0, 9000),
    length=st.sampled_from([0, 900, 5000, 16000, 19924]),
    chunk=st.sampled_from([640, 1280, 4000, 20000]),
    options=st.fixed_dictionaries(
        {"delay_ms": st.sampled_from([80, 240, 480, 960])},
        optional={
            "temperature": st.sampled_from([0.7, 2.0]),
            "seed": st.integers(0, 9),
            "live": st.booleans(),
            "look_ahead": st.sampled_from([1, 3]),
            "unstick": st.just(True),
        },
    ),
    leaves=st.integers(0, 4).map(lambda n: n == 0),
    threaded=st.booleans(),
)


def chunks(stream: Stream, samples: np.ndarray) -> list[np.ndarray]:
    audio = np.roll(samples, -stream.start)[: stream.length]
    return [audio[i : i + stream.chunk] for i in range(0, len(audio), stream.chunk)]


def alone(transcriber: Transcriber, stream: Stream, samples: np.ndarray) -> Transcript:
    session = transcriber.session(**stream.options)
    return Transcript.of([*map(session.feed, chunks(stream, samples)), session.finish()], session.seconds)


class Running:
    """A session among others, whose calls are all queued at once, or made by a thread of its own."""

    def __init__(self, transcriber: Transcriber, stream: Stream, samples: np.ndarray) -> None:
        draft = {"draft_ms": 80} if stream.options["delay_ms"] > 80 and stream.start % 2 else {}
        self.stream, self.chunks, self.parts = stream, chunks(stream, samples), list[Result]()
        self.session = transcriber.session(on_result=self.parts.append, **draft, **stream.options)
        self.results: list[Result] = []
        self.futures: list[Future[Result]] = []
        self.thread: threading.Thread | None = None
        if stream.threaded:
            self.thread = threading.Thread(target=self._blocking)
            self.thread.start()
        else:
            half = len(self.chunks) // 2
            self.futures = [self.session.feed_later(chunk) for chunk in self.chunks[: half or None]]
            if stream.leaves:
                self.session.cancel()
            else:
                self.futures += [
                    self.session.feed_later(chunk) for chunk in self.chunks[half or len(self.chunks) :]
                ]
                self.futures.append(self.session.finish_later())

    def _blocking(self) -> None:
        for chunk in self.chunks[: len(self.chunks) // 2] if self.stream.leaves else self.chunks:
            self.results.append(self.session.feed(chunk))
        if self.stream.leaves:
            self.session.cancel()
        else:
            self.results.append(self.session.finish())

    def ended(self) -> Transcript | None:
        """What it said; None if it left."""
        if self.thread:
            self.thread.join()
        if self.stream.leaves:
            return None
        self.results += [future.result(timeout=PATIENCE) for future in self.futures]
        assert joined(self.parts).tokens == joined(self.results).tokens
        assert joined(self.parts).text == joined(self.results).text
        assert self.results[-1].draft == ""
        return Transcript.of(self.results, self.session.seconds)


def check(transcriber: Transcriber, several: list[Stream], samples: np.ndarray) -> None:
    running = [Running(transcriber, stream, samples) for stream in several]
    together = [one.ended() for one in running]
    for stream, heard in zip(several, together, strict=True):
        assert heard is None or heard == alone(transcriber, stream, samples)


@pytest.mark.slow
@settings(max_examples=12)
@given(several=st.lists(streams, min_size=1, max_size=16))
def test_sessions_together_say_what_each_says_alone(
    transcriber: Transcriber, samples: np.ndarray, several: list[Stream]
) -> None:
    check(transcriber, several, samples)


@pytest.fixture(scope="module", params=["mapped", "unpacked", "in memory"])
def awkward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    """A random model of awkward sizes and short windows, quantized where it can be."""
    from voxrun.model.cpu import layers

    sizes: dict[str, Any] = {"encoder": {"sliding_window": 50}, "sliding_window": 45}
    if request.param == "in memory":
        model, _ = small_model(**sizes)
        nn.quantize(model.language_model, 32, 8, class_predicate=lambda path, layer: layer_fits(layer))
        mx.eval(model.parameters())
        return Transcriber(model, Tokenizer(_folder(tmp_path_factory, sizes)))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "mapped":
            pytest.importorskip("numba")
            patch.setattr(layers, "SMALL_MODEL", 0)
        return Transcriber.load(_folder(tmp_path_factory, sizes))


def layer_fits(layer: nn.Module) -> bool:
    return hasattr(layer, "to_quantized") and layer.weight.shape[1] % 32 == 0


def _folder(tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, Any]) -> Any:
    params = small_params(**sizes)
    tensors: dict[str, Any] = dict(random_tensors(ModelConfig.from_dict(params)))
    entry = {"group_size": 32, "bits": 4, "mode": "affine"}
    params["quantization"] = dict(entry)
    for stem in [name.removesuffix("weight") for name in tensors if name.endswith("proj.weight")]:
        weight = tensors[f"{stem}weight"]
        if weight.shape[1] % 32 == 0:
            packed, scales, biases = mx.quantize(mx.array(weight), 32, 4)
            tensors |= {f"{stem}weight": packed, f"{stem}scales": scales.astype(mx.bfloat16)}
            tensors |= {f"{stem}biases": biases.astype(mx.bfloat16)}
    return write_artifact(tmp_path_factory.mktemp("awkward") / "small", params, tensors)


@pytest.mark.slow
@settings(max_examples=6)
@given(several=st.lists(streams, min_size=2, max_size=16))
def test_so_do_models_of_awkward_sizes(
    awkward: Transcriber, samples: np.ndarray, several: list[Stream]
) -> None:
    check(awkward, several, samples)

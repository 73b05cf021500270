"""What must not grow while a session goes on: what it holds, and what it computes for a second of audio."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import noise
from small_models import small_model

from voxrun.device import mx
from voxrun.model.cache import GROWTH
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.at_once import session_bytes
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer

SHARED = (VoxtralRealtime, Tokenizer)
"""What sessions share, and do not own."""
BLOCK = 4 * 1280
PERIOD = GROWTH // 4
"""Blocks of four positions: in that many all buffers are moved at least once."""
PAD, WORD, LETTER = 32, 33, 64 + ord("a")
CYCLE = [PAD] * 9 + [WORD, LETTER, LETTER] + [PAD] * 4
"""What the model says, again and again."""
DELAY_MS = 400
"""A flush is as long as CYCLE then: all periods are alike."""


def held(thing: Any, path: str = "session", seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """Every array and container that can be reached, with its size, under a name without indices."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (*SHARED, type)) or callable(thing):
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        yield path, thing.nbytes if thing.base is None else _base(thing).nbytes
    elif isinstance(thing, mx.array):
        yield path, thing.nbytes
    elif isinstance(thing, (str, bytes)):
        yield path, len(thing)
    elif isinstance(thing, dict):
        yield path, len(thing)
        for key, value in thing.items():
            yield from held(value, f"{path}.{key if isinstance(key, str) else '*'}", seen)
    elif hasattr(thing, "__len__"):
        yield path, len(thing)
        for value in thing:
            yield from held(value, f"{path}[]", seen)
    else:
        for name in _attributes(thing):
            yield from held(getattr(thing, name), f"{path}.{name}", seen)


def _base(view: np.ndarray) -> np.ndarray:
    """A view keeps all of it alive."""
    while isinstance(view.base, np.ndarray):
        view = view.base
    return view


def _attributes(thing: Any) -> list[str]:
    return [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]


def sizes(session: Session) -> dict[str, int]:
    total: Counter[str] = Counter()
    for path, size in held(session):
        total[path] += size
    return dict(total)


class Watched:
    """A random model whose windows are short: it computes everything, says CYCLE, and counts its work."""

    def __init__(self) -> None:
        self.model, _ = small_model(encoder={"sliding_window": 50}, sliding_window=45)
        self.work: Counter[tuple[str, int, int]] = Counter()
        """How often so many rows were computed after so many that are still seen."""
        self._encode, self._decode = self.model.encode_all, self.model.decode_all
        self.model.encode_all, self.model.decode_all = self.encode, self.decode
        self._logits, self.model.language_model.logits = self.model.language_model.logits, self.logits

    def encode(self, mels: Any, states: Any) -> Any:
        self.work["encode", len(mels[0]), states[0].caches[0].past] += 1
        return self._encode(mels, states)

    def decode(self, streams: Any) -> mx.array:
        rows = streams[0]
        self.work["decode", len(rows.tokens), rows.caches[0].past] += 1
        hidden = self._decode(streams)
        self._position = rows.caches[0].offset
        return hidden

    def logits(self, hidden: mx.array) -> mx.array:
        rows = range(self._position - hidden.shape[1], self._position)
        said = mx.array([[CYCLE[row % len(CYCLE)]] for row in rows])
        real = self._logits(hidden)
        return real + 1e6 * (mx.arange(real.shape[2]) == said)


@pytest.fixture(scope="module")
def periods(tokenizer: Tokenizer) -> list[tuple[dict[str, int], int, Counter[tuple[str, int, int]]]]:
    """Of each period of one session: the most that it held, MLX's memory, and the work that was done."""
    watched = Watched()
    session = Session(watched.model, tokenizer, live=True, delay_ms=DELAY_MS)
    found = []
    for _ in range(4):
        most: Counter[str] = Counter()
        mx.clear_cache()  # a reused buffer counts in full, though it may be larger than its array
        memory = 0
        watched.work.clear()
        for block in np.split(noise(PERIOD * BLOCK), PERIOD):
            session.feed(block)
            most |= Counter(sizes(session))
            memory = max(memory, mx.get_active_memory())
        session.flush()
        found.append((dict(most), memory, watched.work.copy()))
    return found


@pytest.mark.slow
def test_a_sessions_memory_does_not_grow(periods: Any) -> None:
    """Neither arrays nor containers: all that can be reached from it."""
    _, second, _, fourth = (sizes for sizes, _, _ in periods)
    for part in ("keys", "values", "_pending", "mel_tail", "_silences"):
        assert any(part in path for path in second), f"{part} was not found"
    assert {path: size for path, size in fourth.items() if size > second.get(path, 0)} == {}


@pytest.mark.slow
def test_mlxs_memory_does_not_grow(periods: Any) -> None:
    """Also what only a graph that was never evaluated would keep."""
    _, second, _, fourth = (memory for _, memory, _ in periods)
    assert fourth <= second


def test_a_session_needs_as_much_memory_as_is_assumed(mlx_layers: None, tokenizer: Tokenizer) -> None:
    """`session_bytes`, which says how many sessions are computed at once."""
    model, _ = small_model(encoder={"sliding_window": GROWTH}, sliding_window=GROWTH)
    session = Session(model, tokenizer, live=True)
    session.feed(noise((GROWTH + 10) * 1280))
    caches = {path: size for path, size in sizes(session).items() if path.endswith(".ring")}
    assert sum(caches.values()) == session_bytes(model)


@pytest.mark.slow
def test_the_work_per_second_of_audio_is_constant(periods: Any) -> None:
    """As many passes of as many rows, each seeing as many others."""
    _, second, third, fourth = (work for _, _, work in periods)
    assert second == third == fourth
    assert {rows for kind, rows, _ in second if kind == "decode"} > {1}, "there was no look-ahead"

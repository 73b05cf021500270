"""On MLX's path a pass is submitted before the one before is read: order, waits, and what ends with it."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import noise
from patience import PATIENCE
from scripted import ScriptedModel
from small_models import small_model

from voxrun.device import mx, tree_flatten
from voxrun.errors import VoxrunError
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer

pytestmark = pytest.mark.usefixtures("mlx_layers")
EOS, PAD, WORD, LETTER = 2, 32, 33, 100
AUDIO = noise(16000 * 8)


@pytest.fixture(scope="module")
def model() -> VoxtralRealtime:
    return small_model()[0]


class Watched:
    """What is done, in order: `encode`, `decode`, `read` (one wait for MLX), `wait` (any other)."""

    def __init__(self, model: VoxtralRealtime, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self._known: list[Any] = []  # evaluated last
        for name in ("encode_all", "decode_all"):
            patch.setattr(model, name, self._noted(name.removesuffix("_all"), getattr(model, name)))
        evaluate = mx.eval

        def read(*arrays: Any) -> None:
            self.done.append("read")
            self._known = [id(array) for _, array in tree_flatten(list(arrays))]
            evaluate(*arrays)

        patch.setattr(mx, "eval", read)
        for name in ("array", "asarray"):
            patch.setattr(np, name, self._converts(getattr(np, name)))

    def _noted(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            self.done.append(what)
            return function(*args)

        return noted

    def _converts(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def converted(value: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(value, mx.array) and id(value) not in self._known:
                self.done.append("wait")
            return function(value, *args, **kwargs)

        return converted


def tokens(session: Session, *blocks: np.ndarray) -> list[int]:
    results = [*map(session.feed, blocks), session.finish()]
    return [token.id for result in results for token in result.tokens]


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0}, {"alternatives": 3}, {"unstick": True}])
def test_without_look_ahead_the_next_step_goes_in_before_the_token_is_read(
    model: VoxtralRealtime, tokenizer: Tokenizer, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, tokenizer, live=True, look_ahead=1, **options)
    session.feed(AUDIO[:16000])
    watched = Watched(model, monkeypatch)
    said = session.feed(AUDIO[16000:32000]).tokens
    steps = [what for what in watched.done if what != "encode"]
    if "unstick" in options:  # its penalty depends on the tokens before
        assert steps == ["decode", "read"] * len(said)
    else:
        assert steps == ["decode", *["decode", "read"] * (len(said) - 1), "read"]


def test_with_look_ahead_the_next_block_goes_in_before_the_tokens_are_read(
    model: VoxtralRealtime, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, tokenizer, live=True)
    session.feed(AUDIO[:1280])
    watched = Watched(model, monkeypatch)
    said = session.feed(AUDIO[1280:]).tokens
    done = " ".join(watched.done)
    assert done.count("encode") == 2  # 100 positions, of which the first block was hungry
    assert done.startswith("encode decode read")
    assert "decode encode read decode" in done
    assert "wait" not in done
    assert done.count("read") == done.count("decode") <= len(said)


@pytest.mark.parametrize("look_ahead", [1, None])
def test_tokens_are_those_of_the_same_passes_read_at_once(
    model: VoxtralRealtime, tokenizer: Tokenizer, look_ahead: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(live: bool, **options: Any) -> list[int]:
        session = Session(model, tokenizer, live=live, look_ahead=look_ahead, **options)
        return tokens(session, AUDIO[:700], AUDIO[700:30000])

    options: list[dict[str, Any]] = [{"live": True}, {"live": False, "temperature": 2.0}]
    in_flight = [heard(**each) for each in options]
    monkeypatch.delenv("VOXRUN_KERNELS")
    monkeypatch.setattr("voxrun.stream.scheduler._submit_next", lambda *_: None)
    assert in_flight == [heard(**each) for each in options]


@pytest.mark.parametrize("live", [True, False])
def test_a_step_behind_the_end_is_dropped(tokenizer: Tokenizer, live: bool) -> None:
    script = [PAD, WORD, LETTER, EOS, LETTER, PAD]
    model = ScriptedModel(script)
    said = tokens(Session(model, tokenizer, live=live, look_ahead=1), np.zeros(16000, np.float32))
    assert said[:6] == (script if live else script[:4])
    assert model.inputs[:5] == [PAD, WORD, LETTER, PAD, LETTER][: 5 if live else 4]  # EOS goes in as a pad
    assert live or len(said) == 4


@pytest.mark.parametrize("what", ["decode_all", "encode_all"])
def test_what_fails_when_it_is_submitted_ahead_ends_its_session_only(
    model: VoxtralRealtime, tokenizer: Tokenizer, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step or the block behind a pass that is in flight."""
    options: dict[str, Any] = {"live": True, "look_ahead": 1 if what == "decode_all" else None}
    bad, good = (Session(model, tokenizer, **options) for _ in range(2))
    before = good.feed(AUDIO[:16000]).tokens
    assert bad.feed(AUDIO[:16000]).tokens == before
    calls, right = [], getattr(model, what)

    def fail_second(*args: Any) -> Any:
        calls.append(what)
        if len(calls) == 2:
            raise MemoryError("full")
        return right(*args)

    monkeypatch.setattr(model, what, fail_second)
    with pytest.raises(MemoryError, match="full"):
        bad.feed(AUDIO)
    assert bad._computation._state is None
    with pytest.raises(VoxrunError, match="the session has failed"):
        bad.finish()
    other = Session(model, tokenizer, **options)
    assert other.feed(AUDIO[:16000]).tokens == before
    assert good.feed(AUDIO[16000:32000]).tokens == other.feed(AUDIO[16000:32000]).tokens


@pytest.mark.parametrize("ending", ["raise", "cancel"])
def test_a_session_that_ends_with_a_step_in_flight_leaves_nothing(
    model: VoxtralRealtime, tokenizer: Tokenizer, ending: str
) -> None:
    def end(_: Any) -> None:
        if session.n_tokens == 5:
            generators.append(weakref.ref(session._computation._state.final))
            assert generators[0]().ahead is not None
            if ending == "raise":
                raise ZeroDivisionError("mine")
            session.cancel()

    generators: list[Any] = []
    session = Session(model, tokenizer, live=True, look_ahead=1, on_result=end)
    future = session.feed_later(AUDIO[:32000])
    with pytest.raises(ZeroDivisionError) if ending == "raise" else pytest.raises(BaseException):
        future.result(timeout=PATIENCE)
    assert tokens(Session(model, tokenizer, look_ahead=1), AUDIO[:16000])
    assert session._computation._state is None
    gc.collect()
    assert ending == "raise" or generators[0]() is None  # the error that was raised knows it

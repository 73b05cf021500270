"""Queued calls: their order, parts, drafts, cancelling, and what one session's fault may end."""

import gc
import threading
import weakref
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from scripted import ScriptedModel

from voxrun import mlx_thread
from voxrun.errors import VoxrunError
from voxrun.stream.results import Result, Transcript, joined
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.tuning import tuning
from voxrun.transcriber import Transcriber

SECOND = np.zeros(16000, np.float32)
WORD, LETTER = 33, 100
HELLO = [WORD, *(64 + byte for byte in b" hello")]


class Held:
    """MLX's thread, kept busy: what is queued meanwhile waits together."""

    def __enter__(self) -> None:
        self._event = threading.Event()
        mlx_thread.later(self._wait)

    def _wait(self) -> None:
        self._event.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._event.set()


def test_queued_calls_are_done_in_order_and_each_has_its_own_result(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    def calls(session: Session, later: str) -> list[Any]:
        pieces = np.array_split(samples, 5)
        feed, flush, finish = (getattr(session, name + later) for name in ("feed", "flush", "finish"))
        return [
            feed(pieces[0]),
            feed(pieces[1]),
            flush(),
            flush(),
            *map(feed, pieces[2:]),
            finish(),
            finish(),
        ]

    expected = calls(transcriber.session(live=True), "")
    with Held():
        futures = calls(transcriber.session(live=True), "_later")
    assert [future.result() for future in futures] == expected


def test_parts_come_as_soon_as_they_are_made_and_make_up_the_result(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    parts: list[Result] = []
    threads: set[str] = set()

    def take(part: Result) -> None:
        parts.append(part)
        threads.add(threading.current_thread().name)

    session = transcriber.session(on_result=take)
    result = joined([session.feed(samples), session.finish()])
    assert len(parts) > 3
    assert joined(parts) == result
    assert threads == {mlx_thread.NAME}


def test_on_result_may_queue_calls_but_not_wait_for_them(tokenizer: Tokenizer) -> None:
    def queue(part: Result) -> None:
        if part.text and not futures:
            futures.append(session.finish_later())

    futures: list[Any] = []
    session = Session(ScriptedModel(HELLO), tokenizer, on_result=queue)
    assert (session.feed(SECOND).text + futures[0].result().text) == " hello"
    waiting = Session(ScriptedModel(HELLO), tokenizer, on_result=lambda part: waiting.finish())
    with pytest.raises(VoxrunError, match=r"^feed, flush and finish wait for the model.* use feed_later"):
        waiting.feed(SECOND)


def test_an_error_in_on_result_ends_that_session_only(transcriber: Transcriber, samples: np.ndarray) -> None:
    def fail(part: Result) -> None:
        raise ZeroDivisionError("mine")

    expected = transcriber.session().feed(samples)
    bad, good = transcriber.session(on_result=fail), transcriber.session()
    with Held():
        failing, heard = bad.feed_later(samples), good.feed_later(samples)
    with pytest.raises(ZeroDivisionError, match="mine"):
        failing.result()
    assert heard.result() == expected
    with pytest.raises(VoxrunError, match=r"^the session has failed \(ZeroDivisionError: mine\); start"):
        bad.feed_later(samples)


def test_a_pass_that_fails_ends_those_in_it(
    transcriber: Transcriber, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their caches may be half written. Whoever comes later, or has another model, is not concerned."""

    def fail(*_: object) -> None:
        raise MemoryError("full")

    monkeypatch.setattr(transcriber.model, "encode_all", fail)
    with Held():
        futures = [transcriber.session().feed_later(samples) for _ in range(3)]
        other = Session(ScriptedModel(HELLO), transcriber.tokenizer).feed_later(SECOND)
    for future in futures:
        with pytest.raises(MemoryError, match="full"):
            future.result()
    assert other.result().text == " hell"
    monkeypatch.undo()
    assert transcriber.session().feed(samples).tokens


def test_cancel_drops_what_waits_and_frees_the_stream(transcriber: Transcriber, samples: np.ndarray) -> None:
    session, other = transcriber.session(), transcriber.session()
    session.feed(samples)
    with Held():
        waiting = [session.feed_later(samples), session.finish_later()]
        heard = other.feed_later(samples)
        session.cancel()
        assert all(future.cancelled() for future in waiting)
    session.cancel()
    assert heard.result() == transcriber.session().feed(samples)
    assert session._computation._state is None
    for call in (lambda: session.feed(samples), session.flush, session.finish, session.finish_later):
        with pytest.raises(VoxrunError, match="the session was cancelled; start another"):
            call()
    with pytest.raises(CancelledError):
        waiting[0].result()


def test_waiting_tells_how_much_audio_is_not_computed(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel([]), tokenizer)
    with Held():
        futures = [session.feed_later(SECOND), session.flush_later(), session.feed_later(SECOND)]
        assert session.waiting == session.seconds == 2
    futures[-1].result()
    assert session.waiting == 0


def test_a_long_recording_does_not_hold_up_a_live_session(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    upload, live = transcriber.session(), transcriber.session(live=True)
    with Held():
        long = [upload.feed_later(np.tile(samples, 60)), upload.finish_later()]
        short = live.feed_later(samples)
    short.result()
    assert not long[0].done()
    upload.cancel()


@pytest.mark.parametrize("live_beside", [False, True])
def test_files_are_encoded_in_larger_passes_while_no_session_is_live(
    live_beside: bool, transcriber: Transcriber, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[int]] = []
    encode, per_position = transcriber.model.encode_all, transcriber.model.config.mel_per_position

    def watched(mels: Any, states: Any) -> Any:
        passes.append([len(mel) // per_position for mel in mels])
        return encode(mels, states)

    live = transcriber.session(live=True)  # idle, but it may speak at any time
    live.feed(samples)
    if not live_beside:
        live.finish()
    files = [transcriber.session() for _ in range(8)]
    for session in files:
        session.feed(SECOND)  # the silence before it is a block of its own
    monkeypatch.setattr(transcriber.model, "encode_all", watched)
    with Held():
        futures = [session.feed_later(np.tile(samples, 4)) for session in files]
    for future in futures:
        future.result()
    together, block, files = max(map(sum, passes)), tuning().block_positions, tuning().files_positions
    assert together <= block if live_beside else block < together <= files
    assert max(map(max, passes)) <= block


def test_a_draft_stands_until_the_final_text_has_come_to_it(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    parts: list[Result] = []
    options = {"delay_ms": 960, "live": True}
    session = transcriber.session(draft_ms=160, on_result=parts.append, **options)
    plain = transcriber.session(**options)
    pieces = np.array_split(samples, 10)
    results = [*map(session.feed, pieces), session.flush(), session.feed(samples), session.finish()]
    assert Transcript.of(results, 0) == Transcript.of(
        [*map(plain.feed, pieces), plain.flush(), plain.feed(samples), plain.finish()], 0
    )
    shown, text = [], ""
    for part in parts:
        text += part.text
        shown.append((text + part.draft).split())
    assert ["please", "try", "again"] in shown[: len(pieces) * 2]  # before the final text has any of it
    assert any(part.draft for part in results[:10])
    assert results[10].draft == results[-1].draft == ""


@pytest.mark.parametrize("draft_ms", [480, 560, 100, 0, "160", True])
def test_a_draft_must_be_a_known_shorter_delay(tokenizer: Tokenizer, draft_ms: object) -> None:
    with pytest.raises(VoxrunError, match=r"not possible|must be"):
        Session(ScriptedModel([]), tokenizer, delay_ms=480, draft_ms=draft_ms)


def test_a_session_that_is_dropped_is_not_kept(transcriber: Transcriber, samples: np.ndarray) -> None:
    session = transcriber.session()
    session.feed(samples)
    state = weakref.ref(session._computation._state.listener)
    del session
    transcriber.session().feed(samples)
    gc.collect()
    assert state() is None

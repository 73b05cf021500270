"""The model of a server: loaded once, when it is needed, and unloaded when nobody needs it."""

import asyncio
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from committed import CLIPS
from patience import PATIENCE
from served import PLAIN

from voxrun.errors import WeightsError
from voxrun.mlx_thread import submit
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.metrics import Metrics
from voxrun.serve.service import Service
from voxrun.serve.shelf import Shelf
from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber

CLIP = CLIPS / "prompts" / "please-try-again.flac"
AT_ONCE = replace(PLAIN, idle_unload=1e-9)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What loading the model comes to, one after the other; the last one is repeated."""
    planned: list[Any] = []

    def load(folder: object, tokenizer: object) -> Any:
        outcome = planned.pop(0) if len(planned) > 1 else planned[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(Transcriber, "load", load)
    return planned


class Loaded:
    """A transcriber, as far as the shelf knows one."""

    tokenizer: Any = None


async def lend(shelf: Shelf) -> Any:
    async with shelf.lent() as transcriber:
        return transcriber


async def unloaded(shelf: Shelf) -> None:
    async with asyncio.timeout(PATIENCE):
        while shelf.loaded:
            await asyncio.sleep(0.001)


def test_the_tokenizer_is_read_again_only_if_its_file_is_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[Any] = []

    def load(folder: object, tokenizer: object) -> Any:
        kept.append(tokenizer)
        loaded = Loaded()
        loaded.tokenizer = tokenizer or f"tokenizer {len(kept)}"
        return loaded

    async def run() -> None:
        shelf, file = Shelf(replace(AT_ONCE, folder=tmp_path), Metrics()), tmp_path / "tekken.json"
        for text in ("a", "a", "bb", "bb"):
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
            await lend(shelf)
            await unloaded(shelf)

    monkeypatch.setattr(Transcriber, "load", load)
    asyncio.run(run())
    assert kept == [None, "tokenizer 1", None, "tokenizer 3"]


def test_sessions_that_come_together_load_it_once(loads: list[Any]) -> None:
    async def run() -> None:
        metrics = Metrics()
        shelf = Shelf(PLAIN, metrics)
        loads.append(Loaded())
        assert set(await asyncio.gather(*(lend(shelf) for _ in range(9)))) == {loads[0]}
        assert b"voxrun_model_loads_total 1.0" in metrics.text()

    asyncio.run(run())


def test_one_who_leaves_does_not_disturb_the_others(loads: list[Any]) -> None:
    async def run() -> None:
        shelf = Shelf(PLAIN, Metrics())
        loads.append(Loaded())
        gone, waiting = asyncio.create_task(lend(shelf)), asyncio.create_task(lend(shelf))
        await asyncio.sleep(0)
        gone.cancel()
        assert await waiting is loads[0]

    asyncio.run(run())


def test_a_load_that_fails_is_told_and_tried_again(
    loads: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        shelf = Shelf(PLAIN, Metrics())
        loads.extend([WeightsError("tiny: the tensors do not fit"), Loaded()])
        for outcome in await asyncio.gather(lend(shelf), lend(shelf), return_exceptions=True):
            assert isinstance(outcome, RefusedError)
            assert outcome.kind is Kind.FAILED
            assert str(outcome) == "the model cannot be loaded (tiny: the tensors do not fit)"
        assert await lend(shelf) is loads[0]

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == [
        "the model cannot be loaded: tiny: the tensors do not fit"
    ]


def test_it_is_unloaded_when_nobody_has_needed_it_for_a_while(loads: list[Any]) -> None:
    async def run() -> None:
        shelf = Shelf(AT_ONCE, Metrics())
        loads.append(Loaded())
        async with shelf.lent():
            await lend(shelf)
            await asyncio.sleep(0.05)
            assert shelf.loaded  # one still has it
        await unloaded(shelf)
        assert await lend(shelf) is loads[0]
        await unloaded(shelf)
        await shelf.load()  # at the start, before there is any session
        await unloaded(shelf)

    asyncio.run(run())


def test_without_the_option_it_stays(loads: list[Any]) -> None:
    async def run() -> None:
        shelf = Shelf(PLAIN, Metrics())
        loads.append(Loaded())
        await lend(shelf)
        await asyncio.sleep(0.05)
        assert shelf.loaded

    asyncio.run(run())


def test_nothing_is_left_of_an_unloaded_model_and_the_next_session_hears_as_well() -> None:
    samples, _ = soundfile.read(CLIP, dtype="float32")

    async def heard(service: Service) -> tuple[str, Any]:
        async with service.session() as live:
            await live.hear(samples)
            live.finish()
            text = "".join([told.text async for told in live if isinstance(told, Result)])
            return text.strip(), weakref.ref(live.transcriber.model)

    async def run() -> None:
        service = Service(AT_ONCE)
        for _ in range(2):
            text, model = await heard(service)
            assert text == "please try again"
            await unloaded(service.shelf)
            await asyncio.wrap_future(submit(lambda: None))  # behind the unloading
            assert model() is None

    asyncio.run(run())

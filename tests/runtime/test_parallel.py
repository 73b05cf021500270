"""Sharing a CPU's cores: all rows are done, errors come out, and the process's BLAS is as it was."""

from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from small_models import random_tensors, small_params, write_artifact
from threadpoolctl import threadpool_info

from voxrun import parallel
from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx
from voxrun.transcriber import Transcriber


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    monkeypatch.setattr(parallel, "WORTH_A_THREAD", 1)


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_every_row_is_done_once(n: int) -> None:
    done: list[int] = []
    parallel.in_parts(lambda first, last: done.extend(range(first, last)), n, work=100)
    assert sorted(done) == list(range(n))


def test_a_model_with_infinite_weights_gives_no_warning(tmp_path: Path) -> None:
    params = small_params()
    tensors = {n: mx.array(a) for n, a in random_tensors(ModelConfig.from_dict(params)).items()}
    for name, tensor in tensors.items():
        if name.endswith("mlp.up_proj.weight"):
            tensor[:, 0], tensor[:, 1] = float("inf"), float("-inf")
    folder = write_artifact(tmp_path / "model", params, tensors)
    Transcriber.open(folder).session().feed(np.ones(32000, np.float32))


def test_an_error_comes_out_and_the_blas_is_as_it_was() -> None:
    before = blas_threads()

    def part(first: int, last: int) -> None:
        raise ValueError(first)

    with pytest.raises(ValueError, match="0"):
        parallel.in_parts(part, 9, work=100, blas=True)
    assert blas_threads() == before


def test_the_blas_is_limited_in_whichever_thread_asks() -> None:
    seen: list[list[int]] = []

    def limited() -> None:
        with parallel.one_blas_thread():
            seen.append(blas_threads())

    for _ in range(2):
        thread = Thread(target=limited)
        thread.start()
        thread.join()
        limited()
    assert all(numbers == [1] * len(numbers) for numbers in seen)


def test_every_row_is_done_after_the_main_thread_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the main thread has ended, the pool takes nothing more, but other threads may go on."""

    class Ended:
        def submit(self, *_: object) -> None:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(parallel, "_pool", Ended)
    done: list[int] = []
    parallel.in_parts(lambda first, last: done.extend(range(first, last)), 10, work=100)
    assert sorted(done) == list(range(10))

"""Sharing a CPU's cores: all rows are done, errors come out, and the process's BLAS is as it was."""

import threading
from pathlib import Path

import numpy as np
import pytest
from committed import CHECKPOINT
from small_models import random_tensors, small_params, write_artifact
from threadpoolctl import threadpool_info

from voxrun import parallel
from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx
from voxrun.stream.results import Result
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


@pytest.mark.slow
def test_sessions_in_several_threads_leave_the_blas_as_it_was(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    before, texts = blas_threads(), []

    def hear() -> None:
        session = transcriber.session()
        texts.append(str(session.feed(samples)) + str(session.finish()))

    threads = [threading.Thread(target=hear) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [" please try again"] * 4
    assert blas_threads() == before


def test_a_session_may_be_fed_by_one_thread_after_the_other(samples: np.ndarray) -> None:
    """As a callback of a sound library or of a window would: MLX's streams belong to threads."""
    session = Transcriber.open(CHECKPOINT).session()
    results: list[Result] = []
    for piece in [*np.array_split(samples, 7), None]:
        thread = threading.Thread(
            target=lambda piece=piece: results.append(
                session.finish() if piece is None else session.feed(piece)
            )
        )
        thread.start()
        thread.join()
    assert "".join(map(str, results)) == " please try again"

"""Threads, forks and the end of a process: a model may be used from any thread, and no process aborts."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from committed import CHECKPOINT, ROOT
from one_thread import strangers
from patience import PATIENCE
from scripted import ScriptedModel
from threadpoolctl import threadpool_info

from voxrun import mlx_thread
from voxrun.device import mx
from voxrun.errors import VoxrunError
from voxrun.stream.at_once import sessions_at_once
from voxrun.stream.results import Result, Transcript
from voxrun.stream.scoring import Scorer
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber

LOAD = f"""
import atexit, multiprocessing, os, sys, threading
import numpy as np
from voxrun import Transcriber, VoxrunError
MODEL, CLIP = {str(CHECKPOINT)!r}, {str(ROOT / "tiny/clips/prompts/please-try-again.flac")!r}

def say(*lines):
    print(*lines, sep="\\n", flush=True)
"""


def run(tmp_path: Path, program: str) -> list[str]:
    """What a program of its own prints; it must end well and say nothing on stderr."""
    path = tmp_path / "program.py"
    path.write_text(LOAD + program, encoding="utf-8")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(path)]  # 3.12 warns of any fork
    process = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.splitlines()


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_sessions_at_once_give_what_they_give_one_by_one(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    def heard(n: int) -> Transcript:
        session = transcriber.session(delay_ms=80 * n)
        results = [session.feed(piece) for piece in np.array_split(samples, n)]
        return Transcript.of([*results, session.finish()], session.seconds)

    before = blas_threads()
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(heard, range(1, 9)))
    assert at_once == [heard(n) for n in range(1, 9)]
    assert blas_threads() == before


@pytest.mark.parametrize("kernels", ["", "none"])
def test_only_the_owner_thread_calls_mlx(
    kernels: str, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    others = strangers(monkeypatch)
    transcriber = Transcriber.open(CHECKPOINT)
    sessions_at_once(transcriber.model)
    transcriber.transcribe(samples[:8000], rate=16000, temperature=1.0, alternatives=2, unstick=True)
    session = transcriber.session(live=True, draft_ms=80, look_ahead=1)
    session.feed(samples[:8000])
    session.flush()
    session.cancel()
    scorer = mlx_thread.computed(Scorer, transcriber.model, transcriber.tokenizer)
    mlx_thread.computed(scorer.hear, samples[:8000])
    assert others == []
    mx.zeros(1)
    assert others == ["zeros in MainThread"]


def test_a_session_may_be_fed_by_one_thread_after_the_other(
    transcriber: Transcriber, samples: np.ndarray
) -> None:
    """As a callback of a sound library or of a window would."""
    sessions: list[Session] = []
    results: list[Result] = []

    def feed(piece: np.ndarray) -> None:
        results.append(sessions[0].feed(piece))

    steps = [
        lambda: sessions.append(transcriber.session()),
        *(partial(feed, piece) for piece in np.array_split(samples, 7)),
        lambda: results.append(sessions[0].finish()),
    ]
    for step in steps:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert "".join(map(str, results)).strip() == "please try again"


def test_all_work_on_models_is_done_in_one_thread(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: set[str] = set()
    for name in ("encoder_state", "encode", "gains", "decoder_caches", "decode", "_logits"):
        original = getattr(ScriptedModel, name)

        def watched(self: ScriptedModel, *args: object, original=original) -> object:
            at_work.add(threading.current_thread().name)
            return original(self, *args)

        monkeypatch.setattr(ScriptedModel, name, watched)

    def hear(_: int) -> Result:
        session = Session(ScriptedModel([]), tokenizer, alternatives=2)
        return session.feed(np.zeros(16000, np.float32)) and session.flush() and session.finish()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hear, range(2)))
    assert at_work == {mlx_thread.NAME}


def test_an_exception_comes_to_the_caller_with_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError("in the model")

    with pytest.raises(ZeroDivisionError, match="in the model") as caught:
        mlx_thread.computed(fail)
    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert frames[0] == "test_an_exception_comes_to_the_caller_with_its_traceback"
    assert frames[-1] == "fail"
    assert mlx_thread.computed(lambda: 7) == 7


def test_a_destructor_in_the_models_thread_may_use_a_session() -> None:
    """The garbage collector calls destructors in whatever thread it runs."""
    assert mlx_thread.submit(lambda: mlx_thread.submit(lambda: 7).result(timeout=PATIENCE)).result() == 7


def test_ctrl_c_loses_nothing_of_a_session(tokenizer: Tokenizer) -> None:
    class Interrupting(ScriptedModel):
        """A model in whose work the user presses Ctrl-C."""

        interrupts_at = -1

        def encode(self, mel: object, state: None) -> object:
            if self.interrupts_at == 0:
                os.kill(os.getpid(), signal.SIGINT)
            self.interrupts_at -= 1
            return super().encode(mel, state)

    script = [33, *(64 + byte for byte in b" press five to leave the message")] * 4
    minute = np.zeros(960000, np.float32)
    whole = Session(ScriptedModel(script), tokenizer)
    expected = whole.feed(minute), whole.finish()
    model = Interrupting(script)
    session = Session(model, tokenizer)
    model.interrupts_at = 2
    with pytest.raises(KeyboardInterrupt):
        session.feed(minute)
    heard = session.finish()
    assert heard.text == "".join(map(str, expected))
    assert heard.tokens == expected[0].tokens + expected[1].tokens
    assert not session.finish()


@pytest.mark.slow
def test_a_forked_process_is_told_what_to_do(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
transcriber = Transcriber.open(MODEL)
session = transcriber.session()
silence = np.zeros(1280, np.float32)
uses = [
    lambda: session.feed(silence), session.flush, session.finish, transcriber.session,
    lambda: transcriber.transcribe(CLIP), lambda: list(transcriber.stream(CLIP)),
    lambda: Transcriber.open(MODEL),
]
session._turn.acquire()  # as if another thread were feeding it
child = os.fork()
if child == 0:
    for use in uses:
        try:
            use()
        except VoxrunError as error:
            say(error)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
session._turn.release()
say(transcriber.transcribe(CLIP).text)
""",
    )
    assert len(said) == 8
    assert set(said[:7]) == {
        "this process is a fork of one that had opened a model, and MLX works only in the original; start it"
        " with multiprocessing's method 'spawn', or open models only in the fork"
    }
    assert said[7] == "please try again"


@pytest.mark.slow
def test_a_model_may_be_opened_in_a_spawned_process_and_after_a_fork(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
def hear(clip):
    return Transcriber.open(MODEL).transcribe(clip).text

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        say(*pool.map(hear, [CLIP] * 2))
    say(hear(CLIP))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        say(*pool.map(hear, [CLIP] * 2))
""",
    )
    assert said == ["please try again"] * 5


@pytest.mark.slow
def test_the_cores_can_be_used_in_a_forked_process(tmp_path: Path) -> None:
    """The threads of the parent's pool stay in the parent."""
    said = run(
        tmp_path,
        """
import time
from voxrun import parallel

def rows():
    done = []

    def part(first, last):
        time.sleep(0.1)  # so that the pool needs all its threads
        done.append(last - first)

    with parallel.one_blas_thread():
        parallel.in_parts(part, 9, work=2**30)
    return sum(done)

parallel.cores = lambda: 3
say(rows())
time.sleep(0.3)  # until the pool's threads wait for more
parallel.one_blas_thread()._lock.acquire()  # as if another thread held it
child = os.fork()
if child == 0:
    say(rows())
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
""",
    )
    assert said == ["9", "9"]


def test_a_model_is_not_sent_to_another_process(transcriber: Transcriber) -> None:
    for one in (transcriber, transcriber.session()):
        with pytest.raises(VoxrunError, match="cannot be sent to another process: open the model"):
            pickle.dumps(one)


def test_a_thread_that_others_may_wait_for_is_told_that_the_process_ends() -> None:
    """As one that an exit function starts and joins; a daemon is never heard of again."""
    ending = mlx_thread.MlxThread()
    ending.submit(int).result()
    ending._close()
    with ThreadPoolExecutor(1) as pool, pytest.raises(VoxrunError, match="the process is ending"):
        pool.submit(ending.submit, int).result(timeout=PATIENCE)
    daemon = threading.Thread(target=ending.submit, args=[int], daemon=True)
    daemon.start()
    daemon.join(0.1)
    assert daemon.is_alive()


@pytest.mark.slow
def test_exit_functions_are_told_when_it_is_too_late(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
def hear():
    try:
        say(transcriber.transcribe(CLIP).text)
    except VoxrunError as error:
        say(error)

atexit.register(hear)  # called last
transcriber = Transcriber.open(MODEL)
atexit.register(hear)
threading.Timer(0.1, hear).start()  # when the main thread has ended
""",
    )
    assert said == ["please try again"] * 2 + [
        "the process is ending; transcribe before its last exit functions are called"
    ]


@pytest.mark.slow
def test_threads_that_end_and_processes_that_end_in_the_middle_abort_nothing() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/threads.py"), "--model", str(CHECKPOINT)]
    process = subprocess.run([*command, "--ends", "48", "--each", "8"], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout
    assert process.stdout.startswith("aborts: 0 of ")

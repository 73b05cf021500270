"""A short run of the decoder's fuzzing, and that the harness finds what it is there to find."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DEFECTIVE = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import workers

def prepare():
    return attempt

def attempt(index):
    if index == 3:
        os.abort()
    if index == 5:
        raise RuntimeError("unforeseen")
    if index == 7:
        bytearray(400_000_000)
    if index == 9:
        workers.signal.alarm(1)  # not the 120 s of a real input
        time.sleep(60)
    while index == 11:
        workers.signal.setitimer(workers.signal.ITIMER_PROF, 0.1)  # nor 10 s
        sum(range(10_000_000))
    return "heard"

if __name__ == "__main__":
    outcome = workers.try_all(prepare, range(12), 2)
    print(outcome.tried, sorted(outcome.defects))
"""


@pytest.mark.slow
def test_hundreds_of_changed_recordings_are_heard_or_refused() -> None:
    command = [sys.executable, HERE / "decoder.py", "--inputs", "800", "--workers", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "800 inputs" in result.stdout


@pytest.mark.slow
def test_the_harness_finds_what_ends_a_process_hangs_or_takes_memory(tmp_path: Path) -> None:
    script = tmp_path / "defective.py"
    script.write_text(DEFECTIVE, encoding="utf-8")
    result = subprocess.run([sys.executable, script, HERE], capture_output=True, text=True)
    assert result.stdout.startswith("12 ["), result.stderr
    for defect in (
        "(3, 'ends the process (SIGABRT)')",
        "(5, 'RuntimeError at defective.py",
        "(7, 'takes ",
        "(9, 'hangs for",
        "(11, 'computes for",
    ):
        assert defect in result.stdout
    assert result.stdout.count("(") == 6  # SIGABRT is in brackets, too

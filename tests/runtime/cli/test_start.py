"""The first moments of the command: what is imported before it answers, and a Ctrl-C meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from committed import CHECKPOINT, CLIPS

import voxrun

pytestmark = pytest.mark.slow

ANSWER = """
import sys
from voxrun.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*sys.modules)
"""
HEAVY = {
    "mlx",
    "mlx.core",
    "numpy",
    "soundfile",
    "huggingface_hub",
    "voxrun.transcriber",
    "logging",
    "shutil",
}
UNUSED = {"dataclasses", "inspect", "json", "pathlib", "voxrun.transcripts.typesetting.segments"}
"""By the options of a transcription; those of a server are dataclasses."""
INTERRUPTED = """
import os, signal, sys

moment, sys.argv = sys.argv[1], ["voxrun", *sys.argv[2:]]

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # the test itself may run with it ignored
sys.meta_path.insert(0, Interrupting())
from voxrun.cli.main import command
command()
"""
CLIP = [str(CLIPS / "prompts" / "please-try-again.flac"), "--model", str(CHECKPOINT)]


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["--help"], HEAVY | UNUSED),
        (["--version"], HEAVY | UNUSED),
        (["--frmat", "json"], HEAVY | UNUSED),
        (["serve", "--help"], HEAVY),
        (["bench", "--help"], HEAVY | {"dataclasses", "inspect", "json"}),
    ],
    ids=["help", "version", "mistake", "serve", "bench"],
)
def test_an_answer_does_not_wait_for_libraries(words: list[str], unused: set[str]) -> None:
    arguments = [sys.executable, "-S", "-c", ANSWER, *words]
    found = os.environ | {"PYTHONPATH": str(Path(voxrun.__file__).parents[1])}  # -S: no .pth imports anything
    result = subprocess.run(arguments, capture_output=True, text=True, check=True, env=found)
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "voxrun.cli.parser" in loaded
    assert loaded & unused == set()


def test_next_to_nothing_is_imported_before_signals_are_handled() -> None:
    """Until then a Ctrl-C is Python's, which prints a traceback."""
    script = (
        "import os, sys; before = {*sys.modules}; import voxrun.cli.main; print(*{*sys.modules} - before)"
    )
    found = os.environ | {"PYTHONPATH": str(Path(voxrun.__file__).parents[1])}
    arguments = [sys.executable, "-S", "-c", script]
    loaded = subprocess.run(arguments, capture_output=True, text=True, check=True, env=found).stdout.split()
    assert set(loaded) == {"voxrun", "voxrun.cli", "voxrun.cli.codes", "voxrun.cli.main"}


@pytest.mark.parametrize(
    "moment",
    [
        *("voxrun.cli.signals", "voxrun.cli.streams", "argparse", "voxrun.cli.options", "voxrun.cli.run"),
        *("numpy", "mlx.core", "mlx.nn", "voxrun.transcriber", "voxrun.model.voxtral", "tqdm.utils"),
    ],
)
def test_a_ctrl_c_during_the_start_ends_it_without_a_traceback(moment: str) -> None:
    arguments = [sys.executable, "-c", INTERRUPTED, moment, *CLIP]
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode in (130, -signal.SIGINT)  # a shell says 130 for both
    assert (result.stdout, result.stderr) == ("", "")


def test_on_a_cpu_nothing_is_compiled_by_mlx(tmp_path: Path) -> None:
    """MLX asks for g++ by system(3), and a Ctrl-C is lost meanwhile; what it compiles takes seconds."""
    compiler, asked = tmp_path / "g++", tmp_path / "asked"
    compiler.write_text(f"#!/bin/sh\ntouch '{asked}'\n")
    compiler.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    arguments = [sys.executable, "-m", "voxrun", *CLIP]
    result = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert (result.stdout, result.stderr) == ("please try again\n", "")
    assert not asked.exists()

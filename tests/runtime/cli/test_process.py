"""`voxrun` as a process: its streams, its exit code, and what it loads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from committed import CHECKPOINT, CLIPS

MODEL = ["--model", str(CHECKPOINT)]
FIRST = CLIPS / "prompts" / "please-try-again.flac"
SECOND = CLIPS / "prompts" / "you-entered.flac"
FAILING = """
import sys
from voxrun.audio import pipe
from voxrun.cli.main import main
from voxrun.stream import session

def failing(self, samples):
    if self.seconds > 3:
        raise RuntimeError("unforeseen")
    return feed(self, samples)

pipe.MOST_WAITING = 0.5
feed, session.Session.feed = session.Session.feed, failing
main(sys.argv[1:])
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "voxrun", *map(str, arguments)]


def test_the_process_writes_the_transcript_only(tmp_path: Path) -> None:
    result = subprocess.run(
        command(*MODEL, "--audio", FIRST, tmp_path / "absent.wav"), capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stdout == "please try again\n\n"
    assert result.stderr == f"voxrun: {tmp_path / 'absent.wav'}: cannot be read as audio (no such file)\n"


def test_what_standard_output_cannot_encode_is_escaped(tmp_path: Path) -> None:
    name = shutil.copy(FIRST, tmp_path / "naïve-日本-😀.flac")
    result = subprocess.run(
        command(*MODEL, "--audio", name, "--format", "json"),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout.decode("ascii"))["file"] == str(name)


def test_standard_output_by_its_name_is_not_replaced(tmp_path: Path) -> None:
    """`voxrun --output /dev/fd/1 >> log`; not /dev/stdout, which root could indeed replace."""
    (tmp_path / "log").write_text("old\n", encoding="utf-8")
    with (tmp_path / "log").open("a") as log:
        subprocess.run(command(*MODEL, "--audio", FIRST, "--output", "/dev/fd/1"), stdout=log, check=True)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "old\nplease try again\n"


def test_a_live_transcript_survives_an_unforeseen_error(tmp_path: Path) -> None:
    """A failure after hours of a pipe."""
    sound = soundfile.read(FIRST, dtype="int16")[0]
    result = subprocess.run(
        [sys.executable, "-c", FAILING, *MODEL, "--audio", "-", "--output", str(tmp_path / "live.txt")],
        input=np.concatenate([sound, np.zeros(16000 * 4, np.int16)]).tobytes(),
        stderr=subprocess.PIPE,
    )
    assert b"RuntimeError: unforeseen" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["live.txt"]
    assert (tmp_path / "live.txt").read_text(encoding="utf-8") == "please try again"


def test_a_closed_standard_output_gives_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        command(*MODEL, "--audio", FIRST, SECOND), stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == ""


def test_a_full_disk_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command(*MODEL, "--audio", FIRST), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 2
    assert result.stderr == "voxrun: standard output cannot be written (No space left on device)\n"


def test_a_short_recording_does_not_wait_for_other_formats() -> None:
    script = "import sys; from voxrun.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    arguments = [sys.executable, "-c", script, *MODEL, str(FIRST)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())
    others = ("opened", "array", "decode.readers", "decode.formats", "decode.sync", "decode.container")
    assert loaded & {"av", "difflib", *(f"voxrun.audio.{name}" for name in others)} == set()

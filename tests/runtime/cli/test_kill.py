"""Real signals to real processes: what was heard is printed, and nothing is left half done."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from patience import PATIENCE

from voxrun.transcriber import Transcriber

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
ALL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
VOXRUN = [sys.executable, "-m", "voxrun", "--model", str(CHECKPOINT)]
RATE = 16000
CLIP = CLIPS / "prompts" / "please-try-again.flac"
CHAIN = CLIPS / "chains" / "chain-1.flac"
OTHER_CHAIN = CLIPS / "chains" / "chain-2.flac"
TEXT = b"please try again"

DEVICE = """
import threading, time
from types import SimpleNamespace
import numpy

default, PortAudioError = SimpleNamespace(device=(0, 0)), RuntimeError

def query_devices(device=None, kind=None):
    return {"default_samplerate": 16000.0}

class InputStream:
    active, samplerate = True, 16000.0

    def __init__(self, *, callback, **options):
        self._callback = callback

    def start(self):
        threading.Thread(target=self._play, daemon=True).start()

    def _play(self):
        said = numpy.load(SAMPLES)
        for start in range(0, len(said), 1280):
            self._hear(said[start : start + 1280])
        said = said if AGAIN else numpy.zeros(1280, numpy.float32)
        while True:  # in real time
            for start in range(0, len(said), 1280):
                self._hear(said[start : start + 1280])
                time.sleep(0.08)

    def _hear(self, samples):
        moment, status = SimpleNamespace(inputBufferAdcTime=0.0), SimpleNamespace(input_overflow=False)
        self._callback(samples[:, None], len(samples), moment, status)

    def close(self):
        pass
"""

KILLED = """
import os
from pathlib import Path
from voxrun import transcriber
from voxrun.cli import main, signals
from voxrun.model import voxtral
from voxrun.stream import session
from voxrun.transcripts import output

signals.AGAIN = 0.0  # the second one comes when it is told to

def interrupt(owner, name, when):
    original, calls = getattr(owner, name), []

    def interrupted(*arguments):
        calls.append(name)
        if len(calls) == when:
            os.kill(os.getpid(), NUMBER)
        return original(*arguments)

    setattr(owner, name, interrupted)

PLACES
main.command()
"""
IN_IMPORTING = 'interrupt(main, "main", 1)'
IN_LOADING = 'interrupt(transcriber, "load_model", 1)'
IN_THE_MODEL = 'interrupt(voxtral.VoxtralRealtime, "encode_all", 4)'
IN_THE_END = 'interrupt(session.Session, "finish", 1)'
IN_CREATING = 'interrupt(output, "_writable", 2)'
IN_WRITING = 'interrupt(output.AtomicFile, "write", 2)'
IN_COMMITTING = 'interrupt(output.AtomicFile, "commit", 1)'
IN_DISCARDING = 'interrupt(output.AtomicFile, "discard", 1)'
IN_RENAMING = 'interrupt(Path, "replace", 1)'


def killed(number: int, *places: str) -> str:
    """A run that gets a signal when it comes to a place, whatever the machine's speed."""
    return KILLED.replace("NUMBER", str(int(number))).replace("PLACES", "\n".join(places))


def start(*arguments: str | Path, script: str = "", **options: object) -> subprocess.Popen[bytes]:
    code = ["-c", script] if script else ["-m", "voxrun"]
    return subprocess.Popen(
        [sys.executable, *code, "--model", str(CHECKPOINT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def read_until(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    """What a process prints, until it has printed `text` or closed."""
    assert process.stdout is not None
    seen = b""
    while text not in seen and (more := os.read(process.stdout.fileno(), 1000)):
        seen += more
    return seen


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def microphone(tmp_path: Path, samples: np.ndarray) -> Iterator[dict[str, str]]:
    """An environment whose microphone says "please try again" and then nothing, for ever."""
    yield with_device(tmp_path, samples, again=False)


def with_device(folder: Path, samples: np.ndarray, again: bool) -> dict[str, str]:
    """An environment with a microphone that says `samples`, then nothing, or the same again and again."""
    np.save(folder / "said.npy", samples)
    device = DEVICE.replace("SAMPLES", repr(str(folder / "said.npy"))).replace("AGAIN", str(again))
    (folder / "sounddevice.py").write_text(device, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.slow
@BOTH
def test_a_microphone(microphone: dict[str, str], number: signal.Signals) -> None:
    process = start(env=microphone)
    seen = read_until(process, TEXT)
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, seen + out, err) == (0, TEXT + b"\n", b"voxrun: listening; Ctrl-C ends\n")


@pytest.mark.slow
@ALL
def test_a_microphone_writing_a_file(
    microphone: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    target = tmp_path / "notes.txt"
    process = start("--output", target, env=microphone)
    part = None
    while part is None or TEXT not in part.read_bytes():
        part = next(tmp_path.glob(".notes.txt.*.part"), None)
        assert process.poll() is None
    assert not target.exists()
    process.send_signal(number)
    assert ended(process)[:2] == (0, b"")
    assert target.read_bytes() == TEXT + b"\n"
    assert not part.exists()


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("header", [b"", b"wav"])
def test_a_pipe_that_stays_open(
    samples: np.ndarray, tmp_path: Path, number: signal.Signals, header: bytes
) -> None:
    sound = np.concatenate([samples, np.zeros(2 * RATE, np.float32)])
    soundfile.write(tmp_path / "said.wav", sound, RATE)
    said = (tmp_path / "said.wav").read_bytes()
    assert said[40:44] == (2 * len(sound)).to_bytes(4, "little")
    said = said[:40] + b"\xff\xff\xff\xff" + said[44:] if header else said[44:]
    process = start("--audio", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.flush()
    seen = read_until(process, TEXT)  # while the pipe is open
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, seen + out) == (0, TEXT + b"\n")
    assert err == b"" if header else b"no known format; read as raw samples" in err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_recordings_in_mid_update(
    transcriber: Transcriber, tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    """The model finishes the block that it was at: the text is that of so much of the recording."""
    recordings = [CHAIN] * (jobs + 1)
    process = start(*recordings, "--jobs", str(jobs), script=killed(number, IN_THE_MODEL))
    code, out, err = ended(process)
    assert code == 128 + number
    *cut, last = err.decode().splitlines()
    assert last == f"voxrun: {CHAIN}: not heard"
    seconds = [heard_of(line) for line in cut]
    assert len(seconds) == jobs  # the last recording was not begun
    assert max(seconds) > 0  # of two, one may be so far while the other waits for its first block
    sound = soundfile.read(CHAIN, dtype="float32")[0]
    texts = []
    for end in seconds:
        soundfile.write(tmp_path / "part.wav", sound[: RATE * end], RATE, subtype="FLOAT")
        text = transcriber.transcribe(tmp_path / "part.wav").text if end else ""
        texts.append(f"{' '.join(text.split())}\n")
    assert out.decode().splitlines(keepends=True) == texts


def heard_of(line: str) -> int:
    """Whole seconds of CHAIN that were heard, as a line of stderr tells it."""
    if line == f"voxrun: {CHAIN}: not heard":
        return 0
    told = re.fullmatch(rf"voxrun: {CHAIN}: interrupted after (\d+)\.0 s", line)
    assert told, line
    return int(told[1])


@pytest.mark.slow
@ALL
def test_a_file_for_an_output_is_not_half_written(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "chain-1.srt"
    target.write_text("old", encoding="utf-8")
    script = killed(number, IN_THE_MODEL)
    code, out, err = ended(start("--audio", CHAIN, "--output", target, script=script))
    assert (code, out) == (128 + number, b"")
    assert re.fullmatch(
        rf"voxrun: {CHAIN}: interrupted after \d+\.0 s; {target} is not written\n", err.decode()
    )
    assert target.read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
@ALL
def test_of_several_recordings_files_are_whole_or_not_there(
    transcriber: Transcriber, tmp_path: Path, number: signal.Signals
) -> None:
    recordings = {path.stem: path for path in (CHAIN, CLIP, OTHER_CHAIN)}
    command = [*recordings.values(), "--output", tmp_path, "--jobs", "3"]
    code, out, err = ended(start(*command, script=killed(number, IN_THE_MODEL)))
    assert (code, out) == (128 + number, b"")
    written = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.txt")}
    assert len(list(tmp_path.iterdir())) == len(written)
    for name, text in written.items():
        assert text.split() == transcriber.transcribe(recordings[name]).text.split()
    told = [
        rf"voxrun: {path}: (interrupted after [\d.]+ s|not heard); {tmp_path / name}\.txt is not written\n"
        for name, path in recordings.items()
        if name not in written
    ]
    assert re.fullmatch("".join(told), err.decode())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "n"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 3)])
def test_a_second_signal_aborts(number: signal.Signals, n: int) -> None:
    """The first amid the recordings, the second while what was heard is brought out."""
    script = killed(number, IN_THE_MODEL, IN_THE_END)
    assert ended(start(*[CHAIN] * n, script=script)) == (128 + number, b"", b"")


@pytest.mark.slow
def test_a_third_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """While the second is removing the partial file, which therefore stays."""
    target = tmp_path / "chain-1.txt"
    script = killed(signal.SIGTERM, IN_THE_MODEL, IN_THE_END, IN_DISCARDING)
    code, out, err = ended(start("--audio", CHAIN, "--output", target, script=script))
    assert (code, out, err) == (128 + signal.SIGTERM, b"", b"")
    (part,) = tmp_path.iterdir()
    assert part.suffix == ".part"


@pytest.mark.slow
@pytest.mark.parametrize("place", [IN_IMPORTING, IN_LOADING])
@ALL
def test_before_the_sound_begins(number: signal.Signals, place: str) -> None:
    script = killed(number, place)
    assert ended(start("--audio", CHAIN, script=script)) == (128 + number, b"", b"")


@pytest.mark.slow
@pytest.mark.parametrize("place", [IN_CREATING, IN_WRITING, IN_COMMITTING, IN_RENAMING])
def test_while_a_file_is_written(tmp_path: Path, place: str) -> None:
    """The older file stays; there is none that is half written, and no partial one."""
    target = tmp_path / "talk.txt"
    target.write_text("old", encoding="utf-8")
    number = signal.SIGTERM
    code, out, err = ended(start("--audio", CLIP, "--output", target, script=killed(number, place)))
    assert (code, out) == (128 + number, b"")
    assert b"Traceback" not in err
    assert target.read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_terminal_that_is_closed_loses_nothing_of_a_file(samples: np.ndarray, tmp_path: Path) -> None:
    """It sends SIGHUP; without that, what is shown on it is lost, and nothing else."""
    ours, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*VOXRUN, "--audio", "-", "--output", str(tmp_path / "talk.txt")],
        stdin=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    sound = (np.concatenate([samples, np.zeros(2 * RATE)]) * 32767).astype("<i2").tobytes()
    assert process.stdin is not None
    process.stdin.write(sound)
    process.stdin.flush()
    os.read(ours, 1)
    os.close(ours)
    process.communicate(sound, timeout=PATIENCE)
    assert process.returncode == 0
    assert (tmp_path / "talk.txt").read_bytes() == TEXT + b" " + TEXT + b"\n"


def test_a_reader_that_goes_ends_the_microphone(tmp_path: Path, samples: np.ndarray) -> None:
    """`voxrun | head -c 1`, with somebody who goes on talking."""
    process = start(env=with_device(tmp_path, samples, again=True))
    assert process.stdout is not None
    os.read(process.stdout.fileno(), 1)
    process.stdout.close()
    assert process.wait(PATIENCE) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b"voxrun: listening; Ctrl-C ends\n"
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_background_job_ignores_what_its_starter_ignored(
    samples: np.ndarray, number: signal.Signals
) -> None:
    """Shells start those with SIGINT ignored, nohup with SIGHUP."""
    process = start(
        "--audio", "-", stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)
    )
    sound = (np.concatenate([samples, np.zeros(2 * RATE)]) * 32767).astype("<i2").tobytes()
    assert process.stdin is not None
    process.stdin.write(sound)
    process.stdin.flush()
    seen = read_until(process, TEXT)
    process.send_signal(number)
    process.stdin.write(sound)
    code, out, _ = ended(process)  # closes the pipe
    assert (code, seen + out) == (0, TEXT + b" " + TEXT + b"\n")

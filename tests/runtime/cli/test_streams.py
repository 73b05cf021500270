"""The command's standard streams as processes get them: closed, full, non-blocking, without a locale."""

import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT, CLIPS
from patience import PATIENCE, until

pytestmark = pytest.mark.slow

VOXRUN = [sys.executable, "-m", "voxrun"]
MODEL = ["--model", str(CHECKPOINT)]
CLIP = str(CLIPS / "prompts" / "please-try-again.flac")
CHAIN = str(CLIPS / "chains" / "chain-1.flac")
LARGE = [*MODEL, "--audio", CHAIN, "--format", "json", "--alternatives", "100"]
PIPE = 65536
"""Bytes that a pipe of Linux holds."""


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.run([*VOXRUN, *arguments], **(streams | options))


def run_without(closed: Sequence[int], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process for which some descriptors are closed."""
    closing = " ".join(f"{descriptor}>&-" for descriptor in closed)
    script = ["/bin/sh", "-c", f'exec "$@" {closing}', "sh", *VOXRUN, *arguments]
    result = subprocess.run(script, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL)
    return result.returncode, result.stdout, result.stderr


def nonblocking_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    return reader, writer


def wait_until_full(reader: int) -> None:
    until(lambda: held(reader) == PIPE)


def held(reader: int) -> int:
    """Bytes in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0])


@pytest.fixture(scope="module")
def large() -> str:
    """A transcript that no pipe can hold."""
    text = run(*LARGE).stdout
    assert len(text.encode()) > 2 * PIPE
    return text


@pytest.mark.parametrize("output", ["stdout", "descriptor"])
def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything(large: str, output: str) -> None:
    reader, writer = nonblocking_pipe()
    if output == "stdout":
        process = subprocess.Popen([*VOXRUN, *LARGE], stdout=writer)
    else:
        process = subprocess.Popen([*VOXRUN, *LARGE, "--output", f"/dev/fd/{writer}"], pass_fds=[writer])
    os.close(writer)
    wait_until_full(reader)
    with os.fdopen(reader, encoding="utf-8") as file:
        assert file.read() == large
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("blocking", [True, False])
def test_a_signal_ends_the_waiting_for_a_reader(blocking: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    process = subprocess.Popen([*VOXRUN, *LARGE], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    wait_until_full(reader)
    process.terminate()
    assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 128 + signal.SIGTERM
    os.close(reader)


def test_a_reader_that_goes_amid_a_transcript_is_told_by_the_exit_code() -> None:
    reader, writer = nonblocking_pipe()
    process = subprocess.Popen([*VOXRUN, *LARGE], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    wait_until_full(reader)
    os.close(reader)
    assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 1


def test_messages_wait_for_a_reader_too(tmp_path: Path) -> None:
    reader, writer = nonblocking_pipe()
    filled = os.write(writer, b"." * PIPE)
    absent = [str(tmp_path / f"absent-{number}.wav") for number in range(200)]
    process = subprocess.Popen(
        [*VOXRUN, *MODEL, "--audio", CLIP, *absent, CLIP], stdout=subprocess.PIPE, stderr=writer
    )
    os.close(writer)
    assert process.stdout is not None
    assert process.stdout.readline() == b"please try again\n"
    with suppress(subprocess.TimeoutExpired):  # a slow reader
        process.wait(2)
    with os.fdopen(reader, encoding="utf-8") as file:
        assert file.read(filled) == "." * filled
        lines = file.read().splitlines()
    assert [line.split(": ")[1] for line in lines] == absent
    assert process.stdout.read() == b"\n" * 200 + b"please try again\n"
    process.stdout.close()
    assert process.wait(PATIENCE) == 2


@pytest.mark.parametrize("gone", ["full", "closed"])
def test_messages_that_cannot_be_written_change_nothing_else(gone: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("w") as full:
        result = run(*MODEL, "--audio", "absent", CLIP, stderr=full if gone == "full" else writer)
    os.close(writer)
    assert (result.returncode, result.stdout) == (2, "\nplease try again\n")


SOME = [closed for n in (1, 2, 3) for closed in combinations((0, 1, 2), n)]


@pytest.mark.parametrize("closed", SOME)
def test_closed_streams_do_not_matter_to_a_file(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """Nor do the model or the file get their numbers: no message is ever written to them."""
    out = tmp_path / "out"
    code, stdout, err = run_without(closed, *MODEL, "--audio", CLIP, "absent", "--output", f"{out}/")
    assert (code, stdout) == (2, "")
    assert err.startswith("" if 2 in closed else "voxrun: absent: cannot be read as audio")
    assert err.count("\n") == (2 not in closed)
    assert {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()} == {
        "please-try-again.txt": "please try again\n"
    }
    assert list(tmp_path.iterdir()) == [out]


def test_without_standard_output_nothing_is_transcribed_to_it() -> None:
    for closed in [(0,), (2,), (0, 2)]:
        assert run_without(closed, *MODEL, "--audio", CLIP) == (0, "please try again\n", "")
    for closed in [(1,), (0, 1)]:
        complaint = "voxrun: standard output is closed: open it, or use --output FILE\n"
        assert run_without(closed, "--model", "not loaded", "--audio", CLIP) == (2, "", complaint)
    assert run_without((1, 2), *MODEL, "--audio", CLIP) == (2, "", "")
    complaint = "voxrun: standard input is closed\n"
    assert run_without((0,), *MODEL, "--audio", "-")[::2] == (2, complaint)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_could_not_be_printed_is_no_success(option: str) -> None:
    shown = run(option).stdout
    for closed in SOME:
        code, out, err = run_without(closed, option)
        assert (code, out) == ((2, "") if 1 in closed else (0, shown))
        unheard = "voxrun: standard output cannot be written (Bad file descriptor)\n"
        assert err == (unheard if 1 in closed and 2 not in closed else "")
    with Path("/dev/full").open("w") as full:
        result = run(option, stdout=full)
    assert result.returncode == 2
    assert result.stderr == "voxrun: standard output cannot be written (No space left on device)\n"
    reader, writer = os.pipe()
    os.close(reader)
    result = run(option, stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_has_names(name: str, tmp_path: Path) -> None:
    result = run(*MODEL, "--audio", CLIP, "absent", "--output", name, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "please try again\n\n")
    assert list(tmp_path.iterdir()) == []


def test_an_open_descriptor_is_written_where_it_stands(tmp_path: Path) -> None:
    """Not at its own offset, and a socket too."""
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        script = 'echo before >&3; "$@" --output /dev/fd/3 && echo after >&3'
        command = ["/bin/sh", "-c", f"exec 3>&1; {script}", "sh", *VOXRUN, *MODEL, "--audio", CLIP]
        subprocess.run(command, stdout=log, check=True)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "before\nplease try again\nafter\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        result = run(*MODEL, "--audio", CLIP, "--output", f"/dev/fd/{number}", pass_fds=[number])
        assert (result.returncode, result.stderr) == (0, "")
        assert ours.recv(1000) == b"please try again\n"
    result = run(*MODEL, "--audio", CLIP, "--output", "/dev/fd/77")
    assert result.returncode == 2
    assert result.stderr == "voxrun: /dev/fd/77: cannot be written (Bad file descriptor)\n"


LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX"},
    {},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_names_stay_readable_without_a_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    said = ("LC_", "LANG", "PYTHONIO", "PYTHONUTF8", "PYTHONCOERCE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(said)} | locale
    heard, absent = str(tmp_path / "naïve-録音.flac"), str(tmp_path / "😀.flac")
    shutil.copy(CLIP, heard)
    arguments = [*MODEL, "--audio", heard, absent, "--format", "json"]
    result = run(*arguments, env=environment)
    assert result.returncode == 2
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [heard, absent]
    assert heard in result.stdout
    assert result.stderr.startswith(f"voxrun: {absent}: cannot be read as audio")
    assert run(*arguments, "--output", f"{tmp_path}/音/", env=environment).returncode == 2
    (path,) = (tmp_path / "音").iterdir()
    assert path.name == "naïve-録音.json"


def test_an_encoding_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    absent = str(tmp_path / "naïve.flac")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    result = run(*MODEL, "--audio", absent, env=environment, encoding="latin-1")
    assert result.stderr.startswith(f"voxrun: {absent}: cannot be read as audio")


@pytest.mark.parametrize("locale", [{}, LOCALES[-1]], ids=str)
@pytest.mark.parametrize("name", ["モデル".encode(), b"mod\xe8le"], ids=ascii)
def test_a_model_in_a_folder_of_any_name(tmp_path: Path, name: bytes, locale: dict[str, str]) -> None:
    """MLX itself reads names in UTF-8 only."""
    if sys.platform == "darwin" and b"\xe8" in name:
        pytest.skip("no file there can have such a name")
    folder = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - of bytes
    shutil.copytree(os.fsencode(CHECKPOINT), folder)
    command = [
        *map(os.fsencode, VOXRUN),
        b"--model",
        folder,
        b"--audio",
        os.fsencode(CLIP),
        b"--format",
        b"json",
    ]
    result = subprocess.run(command, capture_output=True, env=os.environ | locale)
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout)["model"] == folder.decode(errors="replace")


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/na\xefve.flac"
    result = subprocess.run([*map(os.fsencode, [*VOXRUN, *MODEL]), b"--audio", name], capture_output=True)
    assert result.returncode == 2
    assert result.stderr.decode().startswith(f"voxrun: {tmp_path}/na\ufffdve.flac: cannot be read as audio")

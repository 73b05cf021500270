"""A Dask cluster on this machine: a scheduler and workers, each a process, started as users start them."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from patience import until


@contextmanager
def scheduler(folder):
    """Its address; `folder` is its working folder, in which it writes scheduler.json."""
    file = folder / "scheduler.json"
    process = _dask(folder, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    try:
        wait_for(file, process)
        yield json.loads(file.read_text())["address"]
    finally:
        _end(process)


@contextmanager
def worker(address, folder, *options, nanny="--no-nanny"):
    """A worker's process, which the scheduler knows; `folder` is its working folder."""
    process = _dask(
        folder, "worker", address, "--nthreads", "1", "--local-directory", folder, nanny, *options
    )
    try:
        until(lambda: b"Registered to:" in (folder / "log").read_bytes(), process)
        yield process
    finally:
        _end(process)


def _dask(folder, *words):
    command = [sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=dict(os.environ))


def _end(process):
    process.kill()  # to end in order takes seconds
    process.wait()


def wait_for(file: Path, process=None):
    """Wait until a file is there and has content."""
    until(lambda: file.is_file() and file.stat().st_size, process)

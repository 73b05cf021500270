"""Text reaches open descriptors in full."""

import fcntl
import os
import resource
import threading
import time
from collections.abc import Iterator

import pytest

from voxrun.files.descriptors import writer

ABOVE = 1200
"""More than `select` can wait for."""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ABOVE + 100), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_descriptor_of_any_number_waits_for_its_reader() -> None:
    reader, low = os.pipe()
    os.set_blocking(low, False)
    text, heard = "x" * 300_000, list[str]()

    def read() -> None:
        time.sleep(0.1)  # until the pipe is full
        with os.fdopen(reader, encoding="utf-8") as file:
            heard.append(file.read())

    thread = threading.Thread(target=read)
    with writer(fcntl.fcntl(low, fcntl.F_DUPFD, ABOVE)) as file:
        os.close(low)
        thread.start()
        file.write(text)
    thread.join()
    assert heard == [text]

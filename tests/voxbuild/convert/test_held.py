"""Scales and biases wait for the end of a tensor's packed weights, and large ones not in memory."""

import os
import resource
import tempfile
import tracemalloc

import pytest

from voxbuild.convert.held import IN_MEMORY, Held
from voxbuild.files import TORN_FILES


@pytest.mark.parametrize("rows", [3, IN_MEMORY // 1000 + 50])
def test_outputs_follow_one_another_in_the_order_of_their_rows(tmp_path, rows):
    held = Held(tmp_path)
    for tensor in range(2):
        parts = [[bytes([tensor, kind, row % 251]) * 500 for row in range(rows)] for kind in range(2)]
        for both in zip(*parts, strict=True):
            held.add(both)
        assert b"".join(held.taken()) == b"".join(parts[0]) + b"".join(parts[1])
    assert list(held.taken()) == []
    assert list(tmp_path.iterdir()) == []


def test_what_was_dropped_does_not_come_back(tmp_path):
    held = Held(tmp_path)
    held.add([b"1", b"2"])
    held.drop()
    held.add([b"3"])
    assert list(held.taken()) == [b"3"]


@pytest.fixture
def small_files():
    """No file of this process can be larger than 2 MB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("small_files")
def test_what_cannot_be_written_can_be_dropped(tmp_path):
    held, part = Held(tmp_path), bytes(300_000)
    with pytest.raises(OSError, match="File too large"):
        for _ in range(20):
            held.add([part, part])
    held.drop()
    held.add([b"1"])
    assert list(held.taken()) == [b"1"]


def test_a_file_whose_name_a_kill_left_is_deleted_by_the_next_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False)  # as on macOS
    held = Held(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda path: None)
        held.add([bytes(IN_MEMORY + 1)])
    held.drop()
    assert list(tmp_path.iterdir()) == list(tmp_path.glob(TORN_FILES)) != []


def test_memory_does_not_grow_with_the_tensor(tmp_path):
    held, part = Held(tmp_path), bytes(100_000)
    tracemalloc.start()
    for _ in range(300):
        held.add([part, bytearray(part)])
    assert sum(map(len, held.taken())) == 600 * len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * IN_MEMORY

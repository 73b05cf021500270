"""Memory is reused when nothing refers to it any more, and not before."""

import numpy as np

from voxbuild.tensors.checkpoint import Buffers


def place(view):
    return np.frombuffer(view, np.uint8).ctypes.data


def test_a_buffer_is_reused_after_its_last_view_is_gone():
    buffers = Buffers(64)
    first = buffers.take(64)
    address = place(first)
    part = np.frombuffer(first, np.uint16)[4:8].reshape(2, 2).data.cast("B")
    del first
    assert place(buffers.take(64)) != address, "it is still looked at"
    del part
    assert {place(view) for view in [buffers.take(64), buffers.take(64)]} >= {address}


def test_buffers_in_use_are_never_handed_out_twice():
    buffers = Buffers(16)
    held = [buffers.take(n) for n in (16, 1, 16, 40)]
    for i, view in enumerate(held):
        view[:] = bytes([i]) * len(view)
    assert [bytes(view) for view in held] == [bytes([i]) * n for i, n in enumerate((16, 1, 16, 40))]

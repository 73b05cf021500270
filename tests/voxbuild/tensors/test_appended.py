"""Files that are appended to: the bytes, what is on the disk when that is said, and systems that differ."""

import errno
import fcntl
import os
from contextlib import closing, suppress

import pytest

from voxbuild.tensors import appended
from voxbuild.tensors.appended import BLOCK, AppendedFile

BUFFER = 4 * BLOCK
SIZES = (1, BLOCK - 1, BLOCK, 3 * BLOCK + 5, BUFFER, 5 * BUFFER + 7, 100)


def not_directly(descriptor, data, at, original=os.pwrite):
    """A system that allows direct writes, and then refuses them."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & appended.DIRECT:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return original(descriptor, data, at)


def full(descriptor, data, at):
    """A disk without room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def partial(descriptor, data, at, original=os.pwrite):
    """A system that writes a block at a time."""
    return original(descriptor, data[:BLOCK], at)


@pytest.fixture(params=["as it is", "without direct writes", "direct writes refused", "partial writes"])
def system(request, monkeypatch):
    """Systems of all kinds; buffers that are full soon."""
    monkeypatch.setattr(appended, "BUFFER_BYTES", BUFFER)
    monkeypatch.setattr(appended, "SYNC_BYTES", 2 * BUFFER)
    if request.param == "without direct writes":
        monkeypatch.setattr(appended, "DIRECT", 0)
    elif request.param == "direct writes refused":
        monkeypatch.setattr(os, "pwrite", not_directly)
    elif request.param == "partial writes":
        monkeypatch.setattr(os, "pwrite", partial)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("kept", [0, 1, BLOCK, 2 * BUFFER + 9])
def test_the_file_has_what_was_kept_and_appended_and_says_when_it_is_on_the_disk(tmp_path, kept):
    path, there = tmp_path / "file", os.urandom(kept)
    path.write_bytes(there + b"what nobody has recorded" * BLOCK)
    expected, durable = there, []
    with closing(AppendedFile(path, kept)) as file:
        for size in SIZES:
            data = os.urandom(size)
            file.append(data)
            expected += data
            assert file.length == len(expected)
            file.when_durable(
                lambda expected=expected: durable.append(path.read_bytes()[: len(expected)] == expected)
            )
        file.finish()
    assert path.read_bytes() == expected
    assert durable == [True] * len(SIZES)


@pytest.mark.usefixtures("system")
def test_what_was_not_finished_has_all_that_was_said_to_be_on_the_disk(tmp_path):
    path, data, said = tmp_path / "file", os.urandom(3 * BUFFER + 5), []
    with closing(AppendedFile(path)) as file:
        file.append(data)
        file.when_durable(lambda: said.append(True))
        file.append(b"and more")
        file.wait()
    assert said
    assert path.read_bytes()[: len(data)] == data


def test_a_full_disk_is_an_error_that_names_the_file_and_ends_the_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(appended, "BUFFER_BYTES", BUFFER)
    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: .*file"),
        closing(AppendedFile(tmp_path / "file")) as file,
    ):
        for _ in range(40):
            file.append(bytes(BUFFER))
        file.finish()


@pytest.mark.parametrize("name", ["pwrite", "fsync"])
def test_nothing_is_said_to_be_on_the_disk_after_bytes_were_lost(tmp_path, monkeypatch, name):
    """A full disk has room a moment later, and the system tells of a failed flush once."""
    calls, said, original = [], [], getattr(os, name)

    def fails_once(*arguments):
        calls.append(name)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(*arguments)

    monkeypatch.setattr(os, name, fails_once)
    with closing(AppendedFile(tmp_path / "file")) as file:
        for number in range(2):
            file.append(bytes(BLOCK))
            file.when_durable(lambda number=number: said.append(number))
        with pytest.raises(OSError, match=r"Input/output error: .*file"):
            file.wait()
        for _ in range(4):  # the calls behind it
            with suppress(OSError):
                file.wait()
    assert calls
    assert said == []

"""A file that is elsewhere is read like one on the disk: each byte comes once, and not too many at a time."""

import threading
from contextlib import closing

import pytest
from small_sources import header_of, params_of, write_checkpoint

from voxbuild.errors import SourceError
from voxbuild.tensors import ahead
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxbuild.tensors.streamed import Remote
from voxrun.files.hashes import sha256_of

NAME = "weights"
RANGE = 5000


class Elsewhere:
    """A file that is received; it knows which ranges were."""

    def __init__(self, path):
        self.path, self.data = path, path.read_bytes()
        self.ranges, self.lock = [], threading.Lock()
        self.fails_at = None

    def receive(self, first, into, stop):
        with self.lock:
            self.ranges.append((first, len(into)))
        if self.fails_at is not None and first + len(into) > self.fails_at:
            raise SourceError("cut for good")
        into[:] = self.data[first : first + len(into)]

    @property
    def received(self):
        return sum(count for _, count in self.ranges)

    @property
    def head(self):
        return self.data[: 8 + int.from_bytes(self.data[:8], "little")]

    def opened(self, head=None):
        return SourceFiles({NAME: Remote(NAME, head or self.head, len(self.data), self.receive)})


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(ahead, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(ahead, "WINDOW_BYTES", 8 * RANGE)
    monkeypatch.setattr("voxbuild.tensors.checkpoint.CHUNK_BYTES", 3001)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / NAME
    write_checkpoint(path, header_of(params_of()))
    return path


@pytest.fixture
def elsewhere(path):
    return Elsewhere(path)


def rows_of(files, name):
    """The bytes of a tensor."""
    return b"".join(bytes(data) for _, data in files.rows(files.tensors[name]))


def all_rows(files):
    """The bytes of all tensors, by name."""
    return {name: rows_of(files, name) for name in files.tensors}


def test_rows_and_hash_are_those_of_the_file_on_the_disk_and_no_byte_comes_twice(elsewhere, path):
    with SourceFiles({NAME: path}) as local, closing(Passes(local, [])) as expected:
        rows = all_rows(expected)
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        assert all_rows(stream) == rows
        assert stream.sha256(NAME) == sha256_of(path)
    assert elsewhere.received == len(elsewhere.data) - len(elsewhere.head)


def test_a_pass_goes_on_at_every_mark_and_receives_only_the_rest(elsewhere, path):
    names = []
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        marks = [({}, 0)]
        for name, tensor in stream.tensors.items():
            names.append(name)
            assert sum(rows for rows, _ in stream.rows(tensor)) == tensor.rows
            marks.append((stream.mark(), tensor.start + tensor.nbytes))
        expected = all_rows(Passes(files, []))
    assert len(marks) > 30
    for done, (mark, at) in enumerate(marks):
        elsewhere.ranges.clear()
        with elsewhere.opened() as files, closing(Passes(files, [NAME], mark)) as stream:
            assert all(rows_of(stream, name) == expected[name] for name in names[done:])
            assert stream.sha256(NAME) == sha256_of(path)
        assert elsewhere.received <= len(elsewhere.data) - at


def test_a_mark_of_a_file_with_another_header_is_not_used(elsewhere):
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        all_rows(stream)
        mark = stream.mark()
    other = elsewhere.head.replace(b'"format"', b'"gormat"', 1)
    if other == elsewhere.head:  # without metadata
        other = elsewhere.head[:-1] + (b" " if elsewhere.head[-1:] != b" " else b"\n")
    elsewhere.ranges.clear()
    with elsewhere.opened(other) as files, closing(Passes(files, [NAME], mark)) as stream:
        assert stream.sha256(NAME) != sha256_of(elsewhere.path)
    assert elsewhere.received == len(elsewhere.data) - len(elsewhere.head)


def test_no_more_than_the_window_is_received_ahead_of_the_reader(elsewhere):
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        read = 0
        for tensor in stream.tensors.values():
            for _, data in stream.rows(tensor):
                read += len(data)
                assert elsewhere.received <= read + ahead.WINDOW_BYTES + RANGE


def test_tensors_out_of_order_are_received_by_themselves(elsewhere, path):
    with SourceFiles({NAME: path}) as local, elsewhere.opened() as files:
        ours, theirs = Passes(files, []), Passes(local, [])
        for name in sorted(files.tensors, key=lambda name: name[::-1]):
            assert rows_of(ours, name) == rows_of(theirs, name)


def test_an_error_comes_to_the_reader_when_it_has_read_what_came_before(elsewhere):
    elsewhere.fails_at = len(elsewhere.data) // 2
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        read = 0
        with pytest.raises(SourceError, match="cut for good"):
            for tensor in stream.tensors.values():
                for _, data in stream.rows(tensor):
                    read += len(data)
        assert read > elsewhere.fails_at - 2 * RANGE - 3001


def test_a_file_that_was_read_to_its_end_leaves_no_threads(elsewhere, path):
    before = set(threading.enumerate())
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        assert stream.sha256(NAME) == sha256_of(path)
        receiving = [t for t in set(threading.enumerate()) - before if t.name == "receive"]
        for thread in receiving:
            thread.join(2)
        assert not any(thread.is_alive() for thread in receiving)


def test_nothing_is_received_any_more_after_the_end(elsewhere):
    before = set(threading.enumerate())
    with elsewhere.opened() as files, closing(Passes(files, [NAME])) as stream:
        next(iter(stream.rows(next(iter(stream.tensors.values())))))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()

"""A conversion that stops within a shard goes on there: the same bytes, and no row is converted twice."""

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from artifacts import contents
from small_sources import header_of, params_of, write_checkpoint

from voxbuild.convert import shard_writer
from voxbuild.convert import shards as module
from voxbuild.convert.rounding import rounding_of
from voxbuild.convert.shards import convert
from voxbuild.folders import Journal, journal_of
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.quantization import Quantize
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxrun.files.hashes import sha256_of

PARAMS = params_of(dim=256, hidden=512, layers=2)
HEADER = header_of(PARAMS)
SHARD = "model.safetensors"
KILLED = Path(__file__).resolve().parents[1] / "killed_conversions.py"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "consolidated.safetensors"
    write_checkpoint(path, HEADER)
    return path


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(autouse=True)
def recorded_often(monkeypatch):
    monkeypatch.setattr(module, "RECORD_BYTES", 2**18)
    monkeypatch.setattr("voxbuild.tensors.checkpoint.CHUNK_BYTES", 2**16)


class Conversion:
    """One by the recipe `4bit`, or another quantization, into a folder."""

    def __init__(self, book, source, folder, quantize=None):
        changes = {"quantize": quantize} if quantize else {}
        self.plan = make_plan(book.recipe("4bit").model_copy(update=changes), HEADER, PARAMS)
        self.source, self.folder = source, folder
        self.moments, self.marks = {}, []
        folder.mkdir(exist_ok=True)

    def run(self):
        """Convert; the source bytes that were converted, and the journal."""
        journal, done = Journal(self.folder, "same"), []
        with (
            SourceFiles({"weights": self.source}) as files,
            closing(Passes(files, ["weights"])) as stream,
        ):
            stream.rows = self._counting(stream.rows, done)
            convert(self.plan, stream, journal, lambda nbytes: None, self.moments)
            assert stream.sha256("weights") == sha256_of(self.source)
        return sum(done), journal

    def _counting(self, rows, done):
        def counted(tensor, together=1):
            for count, data in rows(tensor, together):
                done.append(len(data))
                yield count, data

        return counted

    @property
    def journal(self):
        return Journal(self.folder, "same")

    def begun(self):
        """Stop it after half of its writes, when something is on record."""
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, 60)
            with pytest.raises(KeyboardInterrupt):
                self.run()
        assert self.journal.begun
        return self.journal.unfinished(SHARD)


def stop_at(patch, number):
    """Ctrl-C at the write of this number, when all that was asked for before is on record."""
    calls = []

    class Stopping(shard_writer.CheckpointWriter):
        def write(self, *data):
            calls.append(data)
            if len(calls) == number:
                self.wait()
                raise KeyboardInterrupt
            super().write(*data)

    patch.setattr(shard_writer, "CheckpointWriter", Stopping)


@pytest.fixture(scope="module")
def expected(book, source, tmp_path_factory):
    """The artifact's files, and how many bytes of the source are converted."""
    folder = tmp_path_factory.mktemp("expected")
    nbytes, _ = Conversion(book, source, folder).run()
    return contents(folder), nbytes


def test_from_any_cut_on_it_goes_on_where_it_was_and_gives_the_same_bytes(book, source, tmp_path, expected):
    for cut in range(1, 400, 13):
        one = Conversion(book, source, tmp_path / str(cut))
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, cut)
            try:
                one.run()
                break
            except KeyboardInterrupt:
                pass
        begun = one.journal.begun
        assert one.journal.unfinished(SHARD).exists() == bool(begun)
        nbytes, journal = one.run()
        assert contents(one.folder) == expected[0]
        assert journal.begun is None
        written = sum(t.nbytes for t in HEADER[: begun.tensors]) if begun else 0
        assert nbytes == expected[1] - written
    assert cut > 100, "the conversion has hardly any writes"
    assert written > expected[1] / 2


def cut_file(path, journal):
    path.write_bytes(path.read_bytes()[:-1000])
    os.truncate(path, journal.begun.length - 1)


def change_prefix(path, journal):
    with path.open("r+b") as file:
        file.seek(journal.begun.length // 2)
        byte = file.read(1)[0]
        file.seek(journal.begun.length // 2)
        file.write(bytes([byte ^ 1]))


def remove_file(path, journal):
    path.unlink()


def tear_journal(path, journal):
    record = journal_of(journal.folder)
    record.write_text(record.read_text()[:100])


def remove_journal(path, journal):
    journal_of(journal.folder).unlink()


@pytest.mark.parametrize("damage", [cut_file, change_prefix, remove_file, tear_journal, remove_journal])
def test_a_damaged_part_is_written_again(book, source, tmp_path, expected, damage):
    one = Conversion(book, source, tmp_path / "out")
    damage(one.begun(), one.journal)
    nbytes, _ = one.run()
    assert contents(one.folder) == expected[0]
    assert nbytes == expected[1]


def test_what_was_written_after_the_last_record_is_written_again(book, source, tmp_path, expected):
    """As if it was killed before the journal was written, or while a write was half done."""
    one = Conversion(book, source, tmp_path / "out")
    with one.begun().open("ab") as file:
        file.write(b"more than all that is still to come" * 2**17)
    nbytes, _ = one.run()
    assert contents(one.folder) == expected[0]
    assert nbytes < expected[1]


def test_a_full_disk_keeps_what_is_on_record(book, source, tmp_path, expected, monkeypatch):
    one = Conversion(book, source, tmp_path / "out")
    original, synced = os.fsync, []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            one.run()
    assert one.journal.begun
    assert one.run()[0] < expected[1]
    assert contents(one.folder) == expected[0]


def test_what_is_said_of_the_rounding_is_right_after_a_resume(book, source, tmp_path):
    quantize = Quantize(bits=4, group_size=64, search="gptq")

    def conversion(name):
        one = Conversion(book, source, tmp_path / name, quantize)
        matrices = [t for t in one.plan.tensors if t.quantization]
        without = {t.module for t in matrices[::3]}
        sizes = {t.module: t.shape[1] for t in matrices}
        one.moments = {"matrix": lambda m: None if m in without else np.eye(sizes[m])}
        return one

    whole, stopped = conversion("whole"), conversion("stopped")
    _, expected = whole.run()
    stopped.begun()
    _, journal = stopped.run()
    assert contents(stopped.folder) == contents(whole.folder)
    assert rounding_of(journal) == rounding_of(expected)
    assert rounding_of(expected)["plain_rows"]
    assert rounding_of(expected)["without_moments"]


def test_the_sources_mark_is_recorded_and_given_back(book, source, tmp_path, monkeypatch):
    """It is that of the last tensor on record, though reading is ahead of writing."""
    one, ends = Conversion(book, source, tmp_path / "out"), []
    monkeypatch.setattr(Passes, "mark", lambda self: {"weights": {"read": sum(ends)}})
    original = Passes.rows

    def rows(self, tensor, together=1):
        for count, data in original(self, tensor, together):
            ends.append(len(data))
            yield count, data

    monkeypatch.setattr(Passes, "rows", rows)
    one.begun()
    begun = one.journal.begun
    assert begun.mark == {"weights": {"read": sum(t.nbytes for t in HEADER[: begun.tensors])}}
    writer = shard_writer.ShardWriter(one.plan, one.journal)
    assert (writer.mark, writer.position) == (begun.mark, begun.tensors)
    writer.close()
    one.run()
    assert (
        shard_writer.ShardWriter(one.plan, one.journal).mark["weights"]["read"]
        > begun.mark["weights"]["read"]
    )


@pytest.mark.slow
def test_kill_9_at_any_moment_within_a_shard_then_the_same_bytes(tmp_path):
    done = subprocess.run([sys.executable, KILLED, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    moments, resumed = map(int, done.stdout.split())
    assert moments > 50
    assert resumed > moments / 2

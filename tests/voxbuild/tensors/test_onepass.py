"""One read from front to back gives the requested rows and the hash of the whole file."""

from contextlib import closing

import pytest
from small_sources import header_of, params_of, write_checkpoint

from voxbuild.tensors import checkpoint as module
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxrun.files.hashes import sha256_of


@pytest.fixture
def checkpoint(tmp_path):
    write_checkpoint(tmp_path / "weights", header_of(params_of()))
    with Checkpoint(tmp_path / "weights") as opened:
        yield opened


@pytest.mark.parametrize("every", [1, 2, 5, 1000])
@pytest.mark.parametrize("chunk", [1000, 2**21])
def test_the_hash_is_the_whole_files_even_if_rows_are_skipped(checkpoint, monkeypatch, every, chunk):
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk)
    with closing(OnePass(checkpoint, hashing=True)) as stream:
        for tensor in list(checkpoint.tensors.values())[1::every]:
            assert sum(rows for rows, _ in stream.rows(tensor)) == tensor.shape[0]
        assert stream.sha256() == sha256_of(checkpoint.path)


def test_going_back_while_hashing_is_a_mistake(checkpoint):
    first, second, *_ = checkpoint.tensors.values()
    with closing(OnePass(checkpoint, hashing=True)) as stream:
        list(stream.rows(second))
        with pytest.raises(AssertionError, match="in the order of the file"):
            list(stream.rows(first))

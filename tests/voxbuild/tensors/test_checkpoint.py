"""safetensors files: we read what the library writes, it reads what we write, and damage is reported."""

import copy
import hashlib
import json
import os
import random
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbuild.errors import CheckpointError
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.writer import ALIGNMENT, CheckpointWriter
from voxrun.checkpoint.tensors import MAX_HEADER, Tensor
from voxrun.device import mx

TENSORS = [
    Tensor("b.weight", "BF16", (3, 5)),
    Tensor("a.scales", "U8", (7,)),
    Tensor("a.weight", "U32", (2, 3, 4)),
    Tensor("c", "F32", (1,)),
    Tensor("d", "F16", (0, 4)),
]
NUMPY = {"F16": np.float16, "F32": np.float32, "U32": np.uint32, "U8": np.uint8}


def data_of(tensor):
    return random.Random(tensor.name).randbytes(tensor.nbytes)


def write(path, tensors=TENSORS):
    writer = CheckpointWriter(path, tensors)
    for tensor in tensors:
        writer.write(data_of(tensor))
    return writer.finish()


def pack(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def refused(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def everything(path, chunk_bytes):
    with Checkpoint(path) as checkpoint:
        return {
            (t.name, t.dtype, t.shape): b"".join(data for _, data in checkpoint.rows(t, chunk_bytes))
            for t in checkpoint.tensors.values()
        }


def test_the_library_reads_what_we_write(tmp_path):
    write(tmp_path / "ours.safetensors")
    entries = safetensors.deserialize((tmp_path / "ours.safetensors").read_bytes())
    found = {name: (e["dtype"], tuple(e["shape"]), bytes(e["data"])) for name, e in entries}
    assert found == {t.name: (t.dtype, t.shape, data_of(t)) for t in TENSORS}


@pytest.mark.parametrize("chunk_bytes", [1, 16, 10**6])
def test_we_read_what_the_library_writes(tmp_path, chunk_bytes):
    path = tmp_path / "theirs.safetensors"
    tensors = [tensor for tensor in TENSORS if tensor.dtype in NUMPY]
    arrays = {t.name: np.frombuffer(data_of(t), NUMPY[t.dtype]).reshape(t.shape) for t in tensors}
    safetensors.numpy.save_file(arrays, path, {"some": "metadata"})
    assert everything(path, chunk_bytes) == {(t.name, t.dtype, t.shape): data_of(t) for t in tensors}


def test_we_read_what_mlx_writes(tmp_path):
    path = tmp_path / "theirs.safetensors"
    mx.save_safetensors(str(path), {"a": mx.array([[1.0, -2.0, 0.5]], mx.bfloat16)})
    assert everything(path, 1) == {("a", "BF16", (1, 3)): bytes.fromhex("803f00c0003f")}


def test_chunks_are_whole_rows_within_the_limit(tmp_path):
    write(tmp_path / "a.safetensors", [Tensor("t", "F32", (10, 4))])
    with Checkpoint(tmp_path / "a.safetensors") as checkpoint:
        tensor = checkpoint.tensors["t"]
        assert [rows for rows, _ in checkpoint.rows(tensor, 3 * 16 + 5)] == [3, 3, 3, 1]
        assert [len(data) for _, data in checkpoint.rows(tensor, 3 * 16 + 5)] == [48, 48, 48, 16]


@pytest.mark.parametrize("extra", range(0, 70, 7))
def test_the_data_is_aligned_and_in_the_given_order(tmp_path, extra):
    tensors = [Tensor("z" * (1 + extra), "U8", (5,)), Tensor("a", "U8", (2,))]
    write(tmp_path / "a.safetensors", tensors)
    content = (tmp_path / "a.safetensors").read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    assert start % ALIGNMENT == 0
    assert content[start:] == b"".join(map(data_of, tensors))


def test_equal_tensors_give_equal_bytes_and_their_hash(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert first == second == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert write(tmp_path / "c", TENSORS[::-1]) != first


def test_writing_too_little_is_a_bug(tmp_path):
    writer = CheckpointWriter(tmp_path / "a", TENSORS)
    with pytest.raises(AssertionError, match="not those of the header"):
        writer.finish()
    writer.close()


def test_a_truncated_or_grown_file_is_reported(tmp_path):
    write(tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    assert "truncated" in refused(tmp_path, content[:-1])
    assert "longer than its header says" in refused(tmp_path, content + b"x")
    assert "empty; download it again" in refused(tmp_path, b"")
    for length in (4, 8, 9, 100):
        assert "cut off in its header" in refused(tmp_path, content[:length])


@pytest.mark.parametrize("length", [1, 2**31, 2**63, 2**64 - 1])
def test_an_absurd_header_length_allocates_nothing(tmp_path, length):
    assert "not a safetensors file" in refused(tmp_path, struct.pack("<Q", length) + b"{}" + b" " * 100)


def test_a_header_above_the_limit_is_not_read(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", MAX_HEADER + 1) + b"{}")
    os.truncate(path, MAX_HEADER + 1000)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        Checkpoint(path)


def entry(start, end, dtype="U8", shape=None):
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "nbytes", "expected"),
    [
        ({"a": entry(0, 4), "b": entry(6, 8)}, 8, "the data of 'b' overlaps or leaves a hole"),
        ({"a": entry(0, 4), "b": entry(2, 6)}, 6, "the data of 'b' overlaps or leaves a hole"),
        ({"a": entry(4, 8)}, 8, "the data of 'a' overlaps or leaves a hole"),
        ({"a": entry(0, 4, "F128", [1])}, 4, "'a' has the dtype 'F128'"),
        ({"a": entry(0, 4, "I32", [1])}, 4, "'a' has the dtype I32"),
        ({"a": entry(0, 4, ["U8"])}, 4, "its header is damaged"),
        ({"a": entry(0, 4, shape=[5])}, 4, "'a': shape and offsets do not agree"),
        ({"a": entry(0, 4, shape=[-2, -2])}, 4, "'a' has the shape"),
        ({"a": entry(0, 4, shape=[4.5])}, 4, "'a' has the shape"),
        ({"a": entry(0, 4, shape=["4"])}, 4, "'a' has the shape"),
        ({"a": entry(0, 4, shape=[float("inf")])}, 4, "Infinity is no JSON number"),
        ({"a": entry(-4, 0)}, 0, "'a' has the offsets"),
        ({"a": entry(0.0, 4.0, shape=[4])}, 4, "'a' has the offsets"),
        ({"a": {"dtype": "U8"}}, 0, "its header is damaged"),
        ({"a": 5}, 0, "its header is damaged"),
        ([1, 2], 0, "its header is damaged"),
        (b"{not json", 0, "its header is damaged"),
        (b'{"a": "\xff\xfe"}', 0, "its header is damaged"),
        (b"[" * 100_000, 0, "its header is damaged"),
        (b'{"a":' * 100_000, 0, "its header is damaged"),
    ],
)
def test_an_inconsistent_header_is_refused(tmp_path, header, nbytes, expected):
    assert expected in refused(tmp_path, pack(header, bytes(nbytes)))


def test_empty_tensors_may_share_an_offset(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(pack({"a": entry(0, 4), "empty": entry(0, 0), "last": entry(4, 4)}, bytes(4)))
    assert everything(path, 10)["a", "U8", (4,)] == bytes(4)


def test_files_that_cannot_be_opened_are_reported(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        Checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match="Is a directory"):
        Checkpoint(tmp_path)


def test_a_file_truncated_while_it_is_read_is_reported(tmp_path):
    write(tmp_path / "a", [Tensor("t", "F32", (10, 4))])
    with Checkpoint(tmp_path / "a") as checkpoint:
        with (tmp_path / "a").open("r+b") as file:
            file.truncate(file.seek(0, 2) - 1)
        with pytest.raises(CheckpointError, match="truncated; it changed or is damaged"):
            list(checkpoint.rows(checkpoint.tensors["t"], 16))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.tuples(
    st.sampled_from(["a", "b", "__metadata__"]), st.sampled_from(["dtype", "shape", "data_offsets", None])
)


@pytest.mark.slow
@settings(max_examples=300)
@given(changes=st.lists(st.tuples(FIELDS, VALUES), min_size=1, max_size=3), cut=st.integers(-3, 3))
def test_any_header_is_accepted_or_raises_a_checkpoint_error(tmp_path_factory, changes, cut):
    header = {"a": entry(0, 8, "BF16", [2, 2]), "b": entry(8, 12), "__metadata__": {}}
    header = copy.deepcopy(header)
    for (name, field), value in changes:
        if field is None or not isinstance(header.get(name), dict):
            header[name] = value
        else:
            header[name][field] = value
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(pack(header, bytes(12))[: cut or None])
    try:
        found = everything(path, 4)
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert sum(map(len, found.values())) == 12


@settings(max_examples=300)
@given(st.data())
def test_flipped_bytes_of_a_header_never_crash(tmp_path_factory, data):
    content = bytearray(pack({"a": entry(0, 8, "BF16", [2, 2]), "b": entry(8, 12)}, bytes(12)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 13))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    path.write_bytes(content)
    try:
        everything(path, 4)
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ")


def test_a_row_larger_than_memory_is_refused_before_it_is_read(tmp_path):
    """A sparse file costs nothing, and one row of it is the least that is read."""
    path = tmp_path / "wide.safetensors"
    length = 2**31 - 1
    path.write_bytes(pack({"wide": {"dtype": "F32", "shape": [1, length], "data_offsets": [0, 4 * length]}}))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 4 * length)
    with pytest.raises(CheckpointError, match=r"'wide' has rows of 8,589,934,588 bytes"):
        Checkpoint(path)

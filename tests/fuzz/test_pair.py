"""Headers that our check accepts are read by MLX with the same names, types, shapes and bytes.

In a process of its own, for a header that ends MLX's would end ours.
"""

import json
import random
import subprocess
import sys

import pytest
from mutations import mutated
from parsers import corpus, packed

from voxrun.checkpoint.tensors import ITEM_SIZE, read_header_of
from voxrun.errors import WeightsError

CHANGED = 3000
DRAWN = 300
LOAD = """
import json, sys
from pathlib import Path
import numpy as np
import mlx.core as mx

mx.set_default_device(mx.cpu)
told = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    tensors = mx.load(str(path), format="safetensors")
    told[path.name] = {
        name: [str(array.dtype), list(array.shape), np.array(array.reshape(-1).view(mx.uint8)).tolist()]
        for name, array in tensors.items()
    }
print(json.dumps(told))
"""
DTYPES = {
    **{"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32"},
    **{"I32": "int32", "U64": "uint64", "I64": "int64", "BF16": "bfloat16", "F16": "float16"},
    **{"F32": "float32", "C64": "complex64"},
}


def drawn(chance):
    """A legal file of a few small tensors, of any type, shape and name, aligned or not."""
    header, offset = {}, 0
    for number in range(chance.randrange(5)):
        dtype = chance.choice(sorted(ITEM_SIZE))
        shape = [chance.choice((0, 1, 1, 2, 3)) for _ in range(chance.randrange(6))]
        size = ITEM_SIZE[dtype]
        for length in shape:
            size *= length
        name = chance.choice(("", "a", "é", '"\\', "\n", "😀", "x" * 400)) + str(number)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    if chance.random() < 0.5:
        header["__metadata__"] = chance.choice((None, {}, {"format": "mlx"}))
    names = list(header)
    chance.shuffle(names)
    text = json.dumps({name: header[name] for name in names}, ensure_ascii=chance.random() < 0.5).encode()
    return packed(text + b" " * chance.randrange(8), chance.randbytes(offset).replace(b"\xff", b"\x01"))


def accepted(content, path):
    """Whether our check lets a file pass; it then lies at the path."""
    path.write_bytes(content)
    try:
        read_header_of(path)
    except WeightsError:
        path.unlink()
        return False
    return True


@pytest.mark.slow
def test_mlx_reads_accepted_headers_as_we_do(tmp_path):
    chance = random.Random(0)
    seeds = [path.read_bytes() for path in corpus("header")]
    contents = [*seeds, *(drawn(chance) for _ in range(DRAWN))]
    contents += [mutated("header", chance.choice(contents), chance) for _ in range(CHANGED)]
    passed = [i for i, content in enumerate(contents) if accepted(content, tmp_path / f"{i:05}")]
    assert len(passed) > DRAWN  # some of the changed ones too
    child = subprocess.run([sys.executable, "-c", LOAD, tmp_path], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-2000:]
    told = json.loads(child.stdout)
    for i in passed:
        path = tmp_path / f"{i:05}"
        ours = {t.name: (t.dtype, t.shape, t.start, t.nbytes) for t in read_header_of(path)}
        theirs = told[path.name]
        assert theirs.keys() == ours.keys()
        for name, (dtype, shape, start, nbytes) in ours.items():
            stored = list(contents[i][start : start + nbytes])
            assert theirs[name][:2] == [f"mlx.core.{DTYPES[dtype]}", list(shape)]
            assert theirs[name][2] == stored or dtype == "BOOL"

"""SHA-256 with a state: hashlib's hash, however the bytes are cut and wherever another one goes on."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbuild.tensors import sha256 as module
from voxbuild.tensors.sha256 import Sha256, _of_openssl
from voxbuild.tensors.sha256_loop import compress

WAYS = {"OpenSSL's": _of_openssl(), "ours": lambda words, blocks: compress(words, blocks.reshape(-1, 16))}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    if WAYS[request.param] is None:
        pytest.skip("no OpenSSL here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_compress", lambda: WAYS[request.param])
        yield


lengths = st.lists(st.one_of(st.integers(0, 130), st.integers(0, 5000)), max_size=8)


@pytest.mark.usefixtures("way")
@settings(max_examples=50)
@given(lengths, st.randoms(use_true_random=False))
def test_a_hash_goes_on_from_every_state(counts, random):
    parts = [random.randbytes(count) for count in counts]
    hasher, expected, seen = Sha256(), hashlib.sha256(), 0
    for part in parts:
        hasher.update(memoryview(part))
        expected.update(part)
        assert hasher.hexdigest() == expected.hexdigest()
        seen += len(part)
        assert hasher.length == seen
        hasher = Sha256(json.loads(json.dumps(hasher.state)))


@pytest.mark.usefixtures("way")
def test_a_long_message(count=3 * 2**20 + 7):
    data = np.random.default_rng(1).bytes(count)
    hasher = Sha256()
    hasher.update(data[:1])
    hasher.update(data[1:])
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("state", ["", "zz", Sha256().state[:-2], Sha256().state + "00"])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"no state of a SHA-256|fromhex"):
        Sha256(state)


def test_a_library_that_computes_something_else_is_not_used(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "_is_right", lambda compress: False)
        assert _of_openssl() is None
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda name: "libm.so.6")
    assert _of_openssl() is None
    assert not module._is_right(lambda words, blocks: None)

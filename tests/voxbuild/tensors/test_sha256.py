"""SHA-256 with a state: hashlib's hash, however the bytes are cut and wherever another one goes on."""

import ctypes
import hashlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbuild.tensors import sha256 as module
from voxbuild.tensors.sha256 import FIRST, Sha256, _of_library
from voxbuild.tensors.sha256_loop import compress

WAYS = {"the library's": _of_library(), "ours": lambda words, blocks: compress(words, blocks.reshape(-1, 16))}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    if WAYS[request.param] is None:
        pytest.skip("no such library here")
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
        assert _of_library() is None
    monkeypatch.setattr(module.ctypes.util, "find_library", lambda name: "libm.so.6")
    assert _of_library() is None
    assert not module._is_right(lambda words, blocks: None)


def like_common_crypto(first=FIRST, blocks_done=lambda blocks: blocks):
    """CommonCrypto's functions, computed by our loop; its context has two counters before the words."""

    def begin(context):
        ctypes.memmove(context, bytes(8) + np.array(first, np.uint32).tobytes(), 40)

    def update(context, data, length):
        words = np.frombuffer((ctypes.c_uint32 * 8).from_address(context + 8), np.uint32)
        blocks = np.frombuffer((ctypes.c_uint8 * length).from_address(data), np.uint32).reshape(-1, 16)
        compress(words, blocks_done(blocks))

    pointer = ctypes.c_void_p
    return SimpleNamespace(
        CC_SHA256_Init=ctypes.CFUNCTYPE(None, pointer)(begin),
        CC_SHA256_Update=ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_size_t)(update),
    )


@pytest.fixture
def mac(monkeypatch):
    """Serve a library as macOS does."""

    def serve(library):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))
        monkeypatch.setattr(module.ctypes, "CDLL", lambda name: library)
        return _of_library()

    return serve


def test_the_words_are_found_in_the_context_of_macos(mac, monkeypatch):
    found = mac(like_common_crypto())
    monkeypatch.setattr(module, "_compress", lambda: found)
    monkeypatch.setattr(module, "MOST", 128)
    data, hasher = bytes(range(250)) * 3, Sha256()
    hasher.update(data[:401])
    hasher = Sha256(hasher.state)
    hasher.update(data[401:])
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_library_of_macos_that_is_not_as_it_should_be_is_not_used(mac):
    assert mac(like_common_crypto(first=FIRST[::-1])) is None
    assert mac(like_common_crypto(blocks_done=lambda blocks: blocks[:-1])) is None
    assert mac(SimpleNamespace()) is None


@pytest.mark.skipif(sys.platform != "darwin", reason="macOS has it")
def test_macos_has_the_library():
    assert _of_library()

"""Encodings of audio on the wire, against FFmpeg's and soundfile's decoders, in pieces of any size."""

import base64
import io
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from voxrun.serve.encodings import ENCODINGS, AudioDecoder
from voxrun.serve.errors import Kind, RefusedError

WIDTHS = {"pcm_s16le": 2, "pcm_s32le": 4, "pcm_f16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("encoding", ["pcm_mulaw", "pcm_alaw"])
def test_all_bytes_of_g711_are_what_ffmpeg_decodes(encoding: str) -> None:
    data = bytes(range(256))
    decoder: Any = av.CodecContext.create(encoding, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    expected = np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(av.Packet(data))])
    heard = AudioDecoder(encoding, 8000, 8000).feed(in_base64(data))
    assert np.array_equal(heard, expected.astype(np.float32) / 32768)


@pytest.mark.parametrize(("encoding", "subtype"), [("pcm_s32le", "PCM_32"), ("pcm_f32le", "FLOAT")])
def test_wide_samples_are_what_a_file_of_them_has(encoding: str, subtype: str) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, subtype, "LITTLE", format="RAW")
    heard = AudioDecoder(encoding, 16000, 16000).feed(file.getvalue())
    assert np.allclose(heard, samples, atol=2**-23)


def test_a_float_that_is_no_number_is_silence() -> None:
    for dtype, encoding in ("<f2", "pcm_f16le"), ("<f4", "pcm_f32le"):
        data = np.array([0.5, np.nan, np.inf, -np.inf, -0.25], dtype).tobytes()
        assert AudioDecoder(encoding, 16000, 16000).feed(data).tolist() == [0.5, 0, 0, 0, -0.25]


@given(
    encoding=st.sampled_from(ENCODINGS),
    rate=st.sampled_from([8000, 11025, 16000, 24000, 44100, 48000]),
    data=st.binary(max_size=4000),
    cuts=st.lists(st.integers(0, 1000), max_size=12),
)
def test_pieces_of_any_size_give_the_samples_of_one_piece(
    encoding: str, rate: int, data: bytes, cuts: list[int]
) -> None:
    width = WIDTHS[encoding]
    data = data[: len(data) // width * width]
    at = [0, *sorted(min(cut * width, len(data)) for cut in cuts), len(data)]
    divided, whole = AudioDecoder(encoding, rate, 16000), AudioDecoder(encoding, rate, 16000)
    pieces = [divided.feed(in_base64(data[start:end])) for start, end in pairwise(at)]
    expected = np.concatenate([whole.feed(data), whole.finish()])
    assert np.array_equal(np.concatenate([*pieces, divided.finish()]), expected)


def test_another_rate_is_resampled_as_a_whole_file_is() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000).astype(np.float32)
    decoder = AudioDecoder("pcm_f32le", 24000, 16000)
    pieces = [decoder.feed(tone[start : start + 2400].tobytes()) for start in range(0, 24000, 2400)]
    expected = soxr.resample(tone, 24000, 16000, "HQ")
    assert np.allclose(np.concatenate([*pieces, decoder.finish()]), expected, atol=1e-5)


@pytest.mark.parametrize(
    "audio",
    [
        "%",
        "AAA",
        "AA=A",
        "AAAA=",
        "AA==AA==",
        "\u00e4AAA",
        "AAAA-_",
        7,
        None,
        ["AAAA"],
        "AA==",
        b"\0",
        "AAAA",
    ],
)
def test_what_is_not_whole_samples_in_base64_is_refused(audio: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        AudioDecoder("pcm_s16le", 16000, 16000).feed(audio)
    assert (refused.value.kind, refused.value.param) == (Kind.INVALID_AUDIO, "audio")


def test_line_ends_and_an_empty_piece_are_accepted() -> None:
    decoder = AudioDecoder("pcm_s16le", 16000, 16000)
    assert len(decoder.feed("")) == 0
    assert len(decoder.feed(base64.encodebytes(bytes(400)).decode())) == 200


def test_a_piece_has_a_longest_time_however_few_bytes_it_has() -> None:
    decoder = AudioDecoder("pcm_mulaw", 1000, 16000)  # which becomes 64 times as many bytes
    with pytest.raises(RefusedError, match="seconds") as refused:
        decoder.feed(bytes(1000 * 820))
    assert refused.value.kind is Kind.TOO_LARGE
    assert decoder.seconds == 0


def test_a_piece_has_a_largest_size() -> None:
    decoder = AudioDecoder("pcm_s16le", 16000, 16000, most_bytes=100)
    assert len(decoder.feed(in_base64(bytes(100)))) == len(decoder.feed(bytes(100))) == 50
    for audio in in_base64(bytes(102)), bytes(102), "%" * 1000:
        with pytest.raises(RefusedError) as refused:
            decoder.feed(audio)
        assert refused.value.kind is Kind.TOO_LARGE


@pytest.mark.parametrize(
    ("encoding", "rate"),
    [("mp3", 16000), (None, 16000), ([], 16000), ({}, 16000), *(("pcm_s16le", rate) for rate in
     (0, -1, 999, 1_000_001, 16000.0, "16000", None, True, [16000], 10**30))],
)  # fmt: skip
def test_an_impossible_format_is_refused(encoding: Any, rate: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        AudioDecoder(encoding, rate, 16000)
    assert refused.value.kind is Kind.INVALID_REQUEST

"""Standard input: raw or WAV, recognised by its header, heard while it is open, stopped by a signal."""

import gc
import io
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

from voxrun.audio import pipe as pipe_module
from voxrun.audio.choice import Choice, Raw
from voxrun.audio.decode import behind
from voxrun.audio.decode.bytestream import ByteStream
from voxrun.audio.decode.formats import recognise
from voxrun.audio.pipe import Pipe, PipeSource, pipe_at
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber, listen

RATE = 16000
TONE = (0.5 * np.sin(np.arange(RATE) / 10)).astype(np.float32)


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.FileIO]]:
    """A reading end, and a writing end as a file."""
    reader, writer = os.pipe()
    with io.FileIO(writer, "w") as file:
        yield reader, file
    os.close(reader)


def sent(data: bytes, piece: int = 4096) -> PipeSource:
    """A source whose other end writes `data` in pieces and closes."""
    reader, writer = os.pipe()

    def write() -> None:
        with io.FileIO(writer, "w") as file:
            try:
                for start in range(0, len(data), piece):
                    file.write(data[start : start + piece])
            except BrokenPipeError:
                pass  # the source had enough

    threading.Thread(target=write, daemon=True).start()
    return PipeSource(RATE, reader)


def heard(data: bytes, piece: int = 4096) -> np.ndarray:
    return np.concatenate(list(sent(data, piece)))


def raw(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def with_size(data: bytes, size: int) -> bytes:
    start = data.index(b"data") + 4
    return data[:4] + struct.pack("<I", size) + data[8:start] + struct.pack("<I", size) + data[start + 4 :]


def with_layout(channels: int, rate: int) -> bytes:
    """The header of 64-bit floats without an end."""
    form = struct.pack("<HHIIHH", 3, channels, rate, 0, 0, 64)
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + form + b"data\xff\xff\xff\xff"


@pytest.mark.parametrize("piece", [1, 7, 4096, 100_000])
def test_raw_samples(piece: int) -> None:
    data = raw(TONE[:4000])
    assert np.array_equal(heard(data, piece), np.frombuffer(data, "<i2") / np.float32(32768))


def test_half_a_sample_at_the_end_is_nothing() -> None:
    assert len(heard(raw(TONE) + b"x")) == RATE


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 1 / 128), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-7), ("FLOAT", 0), ("DOUBLE", 0)],
)
@pytest.mark.parametrize("piece", [333, 100_000])
def test_wav_formats(form: str, subtype: str, tolerance: float, piece: int) -> None:
    ours = heard(wav(TONE, subtype=subtype, form=form), piece)
    assert ours.dtype == np.float32
    assert len(ours) == RATE
    assert np.abs(ours - TONE).max() <= tolerance


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_wav_of_another_rate_and_six_channels(rate: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (rate * 2, 6)).astype(np.float32)
    ours = heard(wav(samples, rate, "FLOAT"))
    expected = soxr.resample(samples.mean(axis=1), rate, RATE, quality="HQ")
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-6


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_header_that_does_not_know_its_length(size: int, caplog: pytest.LogCaptureFixture) -> None:
    """As ffmpeg, sox and arecord write it into pipes."""
    assert np.abs(heard(with_size(wav(TONE, subtype="FLOAT"), size)) - TONE).max() == 0
    assert caplog.text == ""


def test_the_header_of_ffmpeg() -> None:
    """`ffmpeg -f wav -`: a LIST chunk before the samples."""
    chunk = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\0\0\0Lavf61.7.100\0\0"
    data = with_size(wav(TONE), 0xFFFFFFFF)
    start = data.index(b"data")
    assert len(heard(data[:start] + chunk + data[start:])) == RATE


def test_odd_chunks_are_padded_and_what_follows_the_samples_is_no_sound() -> None:
    data = wav(TONE)
    start = data.index(b"data")
    odd = b"junk" + struct.pack("<I", 100_001) + bytes(100_002)
    assert len(heard(data[:start] + odd + data[start:] + b"LIST" + bytes(1000))) == RATE


def test_data_missing_at_the_end_of_a_pipe_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    data = wav(TONE)
    assert len(heard(data[: -RATE // 2 * 2])) == RATE // 2
    assert [record.getMessage() for record in caplog.records] == [
        "standard input: the recording is cut short or damaged; 0.5 s of it are lost"
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the recording is empty"),
        (raw(TONE[:1279]), "0.080 s are too short"),
        (b"RIFF\x24\0\0\0WAVE", "breaks off before any samples"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0", "breaks off before any samples"),
        (b"RIFF\x24\0\0\0WAVEdata\0\0\0\0" + raw(TONE), "does not describe its samples"),
        (b"<html>" + b"try again later " * 1000, "this is XML or HTML"),
        (np.random.default_rng(0).bytes(20_000), "no known format"),
        (wav(TONE).replace(struct.pack("<I", RATE), bytes(4)), "0 samples a second"),
        (with_layout(65535, 48000), "WAV of 65535 channels is damaged; 64 can be read at most"),
        (b"fLaC" + bytes(1000), "cannot be read as audio"),
        (b"OggS" + bytes(1000), "cannot be read as audio"),
        (wav(np.array([0.1] * RATE + [np.nan], np.float32), subtype="FLOAT"), "NaN or infinite"),
    ],
    ids=[
        "nothing",
        "short",
        "no chunk",
        "half a chunk",
        "no fmt",
        "html",
        "noise",
        "rate 0",
        "channels",
        "flac",
        "ogg",
        "nan",
    ],
)
def test_unreadable_standard_input_is_one_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as caught:
        heard(data)
    assert str(caught.value).startswith("standard input: ")


@pytest.mark.parametrize("level", [1, 3, 30, 300])
def test_raw_samples_are_recognised_wherever_a_stream_begins(level: int) -> None:
    """Noise of a room: two bytes of it are the mark of UTF-16, one is the `<` of HTML or the `{` of JSON."""
    noise = np.random.default_rng(level).normal(0, level, (500, 4096)).round().astype("<i2")
    for lead in (b"\xfe\xff", b"\xff\xfe", b"<\x01", b"{\x02", b"\x1f\x8b"):
        assert looks_like(lead + noise[0].tobytes()) == "raw"
    assert {looks_like(each.tobytes()) for each in noise} == {"raw"}


def looks_like(data: bytes) -> str:
    return recognise(ByteStream(io.BytesIO(data), "pipe"), guess_raw=True).demuxer


def test_named_pipes_are_closed(tmp_path: Path) -> None:
    gc.collect()  # what other tests have left
    before = n_descriptors()
    for i in range(5):
        os.mkfifo(tmp_path / str(i))
        writer = threading.Thread(target=(tmp_path / str(i)).write_bytes, args=(wav(TONE),))
        writer.start()
        source = pipe_at(str(tmp_path / str(i)), Choice(), RATE)
        assert sum(map(len, source)) == RATE
        writer.join()
        del source
    assert n_descriptors() == before


def n_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_stop_within_a_header_is_told(
    pipe: tuple[int, io.FileIO], caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = pipe
    writer.write(with_size(wav(TONE), 0)[:30])
    source = PipeSource(RATE, reader)
    threading.Timer(0.2, source.stop).start()
    assert sum(map(len, source)) == 0
    assert "stopped before any of its sound could be heard" in caplog.text


def test_a_closed_descriptor_is_one_sentence() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(AudioError, match="standard input is closed"):
        PipeSource(RATE, reader)


def test_a_terminal_is_no_recording() -> None:
    _, terminal = os.openpty()
    with pytest.raises(AudioError, match="standard input is a terminal"):
        PipeSource(RATE, terminal)


def test_sound_is_heard_while_the_pipe_is_open(pipe: tuple[int, io.FileIO]) -> None:
    reader, writer = pipe
    source = PipeSource(RATE, reader, Choice(raw=Raw("s16le", RATE)))
    blocks = iter(source)
    for n in (6, 1280, 999, 4000):
        writer.write(raw(TONE[:n]))
        assert len(next(blocks)) == n
    assert source.heard == (6 + 1280 + 999 + 4000) / RATE


@pytest.mark.parametrize("header", [b"", with_size(wav(TONE[:0]), 0)], ids=["raw", "wav"])
def test_a_live_stream_is_heard_after_half_a_second(pipe: tuple[int, io.FileIO], header: bytes) -> None:
    """Nothing more is needed to know what it is, though the pipe stays open."""
    reader, writer = pipe
    blocks = iter(PipeSource(RATE, reader))
    end = threading.Timer(20, writer.close)  # so that this fails, should it not work
    end.start()
    writer.write(header + raw(TONE[: RATE // 2]))
    assert len(next(blocks))
    end.cancel()
    assert not writer.closed


@pytest.mark.parametrize("begun", [b"", b"RIFF", with_size(wav(TONE), 0)[:30], with_size(wav(TONE), 0)[:44]])
def test_stop_ends_the_wait(pipe: tuple[int, io.FileIO], begun: bytes) -> None:
    """Before anything, in the middle of a header, before the sound."""
    reader, writer = pipe
    writer.write(begun)
    source = PipeSource(RATE, reader)
    threading.Timer(0.2, source.stop).start()
    end = threading.Timer(20, writer.close)  # so that this fails, should it not work
    end.start()
    assert sum(map(len, source)) == 0
    end.cancel()
    assert not writer.closed


def test_an_endless_pipe_is_never_held(pipe: tuple[int, io.FileIO]) -> None:
    """The writer is kept waiting, not the samples in memory."""
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    blocks, pushed = iter(PipeSource(RATE, reader)), 0
    writer.write(bytes(65536))
    longest = 0
    for _ in range(200):
        longest = max(longest, len(next(blocks)))
        pushed += writer.write(bytes(65536)) or 0
    assert longest <= 5 * RATE
    assert pushed > 100 * RATE


def test_no_header_makes_a_read_giant(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, read = [], Pipe.read
    monkeypatch.setattr(Pipe, "read", lambda pipe, n: asked.append(n) or read(pipe, n))
    assert len(heard(with_layout(64, 96000) + bytes(64 * 8 * 96000))) == RATE
    assert max(asked) <= 1 << 22


def test_sound_of_known_length_ends_though_the_pipe_stays_open(
    pipe: tuple[int, io.FileIO], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(behind, "WAITS", 1)
    reader, writer = pipe
    writer.write(wav(TONE))
    end = threading.Timer(20, writer.close)  # so that this fails, should it not work
    end.start()
    assert sum(map(len, PipeSource(RATE, reader))) == RATE
    end.cancel()
    assert not writer.closed
    assert "all of the WAV was heard, by its header, and the pipe is still open" in caplog.text


@pytest.mark.slow
def test_a_second_wav_may_come_a_second_later(
    pipe: tuple[int, io.FileIO], caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = pipe
    writer.write(wav(TONE))
    later = threading.Timer(1, lambda: (writer.write(wav(TONE)), writer.close()))
    later.start()
    assert sum(map(len, PipeSource(RATE, reader))) == 2 * RATE
    later.join()
    assert caplog.text == ""


@pytest.mark.slow
def test_a_pause_brings_out_the_last_words_and_the_stream_goes_on(
    pipe: tuple[int, io.FileIO],
    transcriber: Transcriber,
    samples: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipe_module, "PAUSE", 0.05)
    reader, writer = pipe
    results = listen(transcriber.session(live=True), PipeSource(RATE, reader))
    end = threading.Timer(20, writer.close)  # so that this fails, should it not work
    end.start()
    for times in (1, 2):
        writer.write(raw(samples))
        text = ""
        while not text.endswith(" again"):
            text += next(results).text
        assert text == " please try again", times
    end.cancel()
    assert not writer.closed
    writer.close()
    assert "".join(result.text for result in results) == ""


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_a_pause_is_reported_once_and_is_not_the_resamplers_delay(
    pipe: tuple[int, io.FileIO], monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    reader, writer = pipe
    monkeypatch.setattr(pipe_module, "PAUSE", 0.1)
    sizes = []
    writer.write(with_size(wav(TONE[:0], rate), 0) + bytes(100))  # less than the filter is long
    end = threading.Timer(20, writer.close)  # so that this fails, should it not work
    end.start()
    for block in PipeSource(RATE, reader):
        sizes.append(len(block))
        if not len(block):
            writer.write(bytes(20_000))
            writer.close()
    end.cancel()
    assert sizes.count(0) == 1
    assert sum(sizes) == pytest.approx(10_050 * RATE / rate, abs=1)


def test_what_comes_in_bursts_does_not_pause_before_they_have_sounded(
    pipe: tuple[int, io.FileIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a stream in segments of 6 s would be cut amid words."""
    reader, writer = pipe
    asked: list[float] = []
    monkeypatch.setattr(pipe_module, "time", SimpleNamespace(monotonic=lambda: 7.0))
    patience = PipeSource._patience
    monkeypatch.setattr(PipeSource, "_patience", lambda source: asked.append(patience(source)) or asked[-1])
    blocks = iter(PipeSource(RATE, reader, Choice(raw=Raw("s16le", RATE))))
    heard = 0
    while heard < 12 * RATE:
        writer.write(raw(TONE))
        heard += len(next(blocks))
    assert asked[0] == 2.0
    assert asked == sorted(asked)
    assert 11.0 < asked[-1] <= 12.0

"""What a program may hold audio in: each kind is heard like the file, anything else is refused."""

import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from voxrun.errors import AudioError, VoxrunError
from voxrun.stream.results import Transcript
from voxrun.transcriber import Transcriber

BLOCK = 1000


class OneWay(io.RawIOBase):
    """A file object that can only be read, a few bytes at a time, as a socket's."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        data = self._file.read(min(len(buffer), 777))
        buffer[: len(data)] = data
        return len(data)


@pytest.fixture(scope="module")
def integers(clip: Path) -> np.ndarray:
    return soundfile.read(clip, dtype="int16")[0]


@pytest.fixture(scope="module")
def expected(transcriber: Transcriber, clip: Path) -> Transcript:
    transcript = transcriber.transcribe(clip)
    assert transcript.text == "please try again"
    return transcript


def in_file_objects(clip: Path) -> Iterator[object]:
    data = clip.read_bytes()
    yield from (str(clip), clip, data, bytearray(data), memoryview(data), io.BytesIO(data), OneWay(data))
    with clip.open("rb") as file:
        yield file


def in_arrays(integers: np.ndarray) -> Iterator[object]:
    floats = integers / 32768
    yield from (
        integers,
        integers[:, None],
        integers.astype(np.int32) << 16,
        floats,
        floats.astype(np.float32),
    )
    yield np.stack([integers, integers], axis=1)
    yield (integers[first : first + BLOCK] for first in range(0, len(integers), BLOCK))
    yield [floats[:5000], floats[5000:, None]]


def test_every_kind_is_heard_like_the_file(
    transcriber: Transcriber, clip: Path, integers: np.ndarray, expected: Transcript
) -> None:
    for audio in in_file_objects(clip):
        assert transcriber.transcribe(audio) == expected, audio
    for audio in in_arrays(integers):
        assert transcriber.transcribe(audio, rate=16000) == expected, audio


def test_every_kind_can_be_streamed(
    transcriber: Transcriber, clip: Path, integers: np.ndarray, expected: Transcript
) -> None:
    heard = [list(transcriber.stream(audio)) for audio in in_file_objects(clip)]
    heard += [list(transcriber.stream(audio, rate=16000.0)) for audio in in_arrays(integers)]
    assert len(heard) == 16
    for results in heard:
        assert Transcript.of(results, expected.seconds) == expected


def test_blocks_are_heard_as_they_come(transcriber: Transcriber, integers: np.ndarray) -> None:
    """And an empty one is a pause."""
    given = []

    def blocks() -> Iterator[np.ndarray]:
        for block in [*np.array_split(integers, 9), integers[:0], np.zeros(8000, np.int16)]:
            given.append(len(block))
            yield block

    results = transcriber.stream(blocks(), rate=16000)
    assert not given
    for number, result in enumerate(results, start=1):
        assert len(given) == min(number, 11)
        if number == 10:
            assert str(result).endswith("again")


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_arrays_of_any_rate_and_number_of_channels(
    transcriber: Transcriber, samples: np.ndarray, expected: Transcript, rate: int
) -> None:
    voice = soxr.resample(samples, 16000, rate)
    other = np.random.default_rng(0).uniform(-1, 1, len(voice))
    both = np.stack([other, voice], axis=1)
    assert transcriber.transcribe(voice, rate=np.int64(rate)).text == expected.text
    assert transcriber.transcribe(both, rate=rate, channel=2).text == expected.text
    assert transcriber.transcribe([both[:9999], both[9999:]], rate=rate, channel=2).text == expected.text


def test_samples_without_a_header(
    transcriber: Transcriber, integers: np.ndarray, expected: Transcript
) -> None:
    assert transcriber.transcribe(integers.tobytes(), raw="s16le:16000") == expected
    assert transcriber.transcribe(io.BytesIO(integers.astype(">i2")), raw="s16be:16000:1") == expected


def test_a_file_object_is_read_from_where_it_stands(
    transcriber: Transcriber, clip: Path, expected: Transcript
) -> None:
    file = io.BytesIO(b"a line before\n" + clip.read_bytes())
    file.readline()
    assert transcriber.transcribe(file) == expected


def test_samples_that_are_not_finite_are_silence(transcriber: Transcriber, samples: np.ndarray) -> None:
    broken, silent = (np.concatenate([np.full(9, value), samples]) for value in (np.nan, 0))
    assert transcriber.transcribe(broken, rate=16000) == transcriber.transcribe(silent, rate=16000)


SECOND = np.zeros(16000, np.float32)
REFUSED = [
    (None, {}, "NoneType is no audio: a path, bytes, a binary file or arrays of samples are"),
    (16000, {}, "int is no audio: "),
    (io.StringIO("talk"), {}, "StringIO: is a text file; open it in binary mode"),
    ("", {}, "the path of the recording is empty"),
    (b"", {}, "0 bytes: "),
    (b"talk", {}, "4 bytes: "),
    ("no such file", {}, "no such file: cannot be read as audio"),
    (SECOND, {}, "arrays do not say their rate: give it too"),
    ([SECOND], {}, "arrays do not say their rate: give it too"),
    (SECOND, {"rate": "16000"}, "'16000' is no rate"),
    (SECOND, {"rate": 0.5}, "0.5 is no rate"),
    (SECOND, {"rate": float("nan")}, "nan is no rate"),
    (SECOND, {"rate": 100}, "the array: 100 samples a second is not a supported rate"),
    (b"talk", {"rate": 16000}, "a recording says its rate itself"),
    (SECOND, {"rate": 16000, "track": 1}, "a track or a raw codec is chosen from encoded recordings"),
    (SECOND, {"rate": 16000, "channel": 2}, "the array: there is no channel 2"),
    (SECOND, {"rate": 16000, "channel": 0}, "channel 0 is not possible"),
    (SECOND[:0], {"rate": 16000}, "the array: the recording is empty"),
    (SECOND[:99], {"rate": 16000}, "the array: 0.006 s are too short"),
    (SECOND[None], {"rate": 16000}, r"the array: samples must be \[n\] or \[n, channels\]"),
    (SECOND.reshape(10, 40, 40), {"rate": 16000}, r"the array: samples must be .*, not \[10, 40, 40\]"),
    (np.array(0.0), {"rate": 16000}, "the array: samples must be"),
    (SECOND.astype(complex), {"rate": 16000}, "samples must be integers or floats, not complex128"),
    ([0.0, 0.0], {"rate": 16000}, "samples must be a NumPy array, not float"),
    ([b"talk"], {"rate": 16000}, "samples must be a NumPy array, not bytes"),
    ([], {"rate": 16000}, "the stream: the recording is empty"),
    (SECOND, {"rate": np.array([1, 2])}, r"array\(\[1, 2\]\) is no rate"),
    (b"talk", {"track": "1"}, "track must be a whole number, not '1'"),
    (b"talk", {"channel": 1.0}, "channel must be a whole number, not 1.0"),
    (b"talk", {"raw": 16000}, "raw must be text such as 's16le:16000', not 16000"),
    (b"talk", {"raw": f"s16le:{'1' * 5000}"}, "'s16le:1+.*: raw samples are given as CODEC:RATE"),
    (
        bytes(range(256)) * 99,
        {},
        "25,344 bytes: .* need --raw CODEC:RATE, in Python raw=, such as",
    ),
    (b"talk", {"raw": "pcm"}, "'pcm' is no codec of raw samples"),
]


@pytest.mark.parametrize(("audio", "options", "sentence"), REFUSED)
def test_anything_else_is_refused(
    transcriber: Transcriber, audio: object, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AudioError, match=f"^{sentence}"):
        transcriber.transcribe(audio, **options)
    with pytest.raises(AudioError, match=f"^{sentence}"):
        list(transcriber.stream(audio, **options))


class Failing(io.BytesIO):
    """A file object of a program, with a fault of its own behind the first bytes."""

    def __init__(self, data: bytes, method: str) -> None:
        super().__init__(data)
        self._method = method

    def read(self, n: int = -1) -> bytes:
        return self._or_fail("read", super().read, n)

    def seek(self, *where: int) -> int:
        return self._or_fail("seek", super().seek, *where)

    def seekable(self) -> bool:
        return self._or_fail("seekable", super().seekable)

    def _or_fail(self, method: str, function: Callable[..., Any], *arguments: int) -> Any:
        if method == self._method and (method == "seekable" or self.tell() > 1000):
            raise RuntimeError("unplugged")
        return function(*arguments)


@pytest.mark.parametrize(
    ("container", "method"),
    [("FLAC", "read"), ("FLAC", "seekable"), ("CAF", "read"), ("CAF", "seek"), ("CAF", "seekable")],
)
def test_errors_of_a_file_object_are_of_the_audio(
    transcriber: Transcriber, samples: np.ndarray, container: str, method: str
) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(samples, 9), 16000, format=container)
    with pytest.raises(AudioError, match=r"^Failing: cannot be read \(unplugged\)$") as caught:
        transcriber.transcribe(Failing(file.getvalue(), method))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_text_file_and_a_closed_file_are_told_before_they_are_read(
    transcriber: Transcriber, clip: Path
) -> None:
    with clip.open(encoding="latin-1") as file, pytest.raises(AudioError, match="open it in binary mode"):
        transcriber.transcribe(file)
    with clip.open("rb") as file:
        pass
    with pytest.raises(AudioError, match=r"cannot be read \(.*closed file"):
        transcriber.transcribe(file)


def test_options_of_other_programs_get_a_sentence(transcriber: Transcriber) -> None:
    told = {
        "language": "the model detects the language itself; leave it out",
        "initial_prompt": "the model takes no prompt; leave it out",
        "word_timestamps": "there is no such option; these are: delay_ms, draft_ms, temperature, seed, live,",
    }
    for name, sentence in told.items():
        with pytest.raises(VoxrunError, match=f"^{name}: {sentence}"):
            transcriber.transcribe(SECOND, rate=16000, **{name: "en"})


def test_what_cannot_be_opened_is_refused_before_the_first_result(transcriber: Transcriber) -> None:
    for options in ({}, {"rate": 16000, "delay_ms": 7}):
        with pytest.raises(VoxrunError):
            transcriber.stream(SECOND, **options)


def test_a_wav_that_python_wrote(
    transcriber: Transcriber, integers: np.ndarray, expected: Transcript
) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16000, 0, "NONE", ""))
        writer.writeframes(integers.tobytes())
    assert transcriber.transcribe(file.getvalue()) == expected

"""Sound keeps its place in time: late tracks, gaps, codecs that send nothing in silence, wrong times."""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from recordings.sounds import digits

from voxrun.audio.decode.gaps import TimedGaps
from voxrun.audio.decode.losses import Losses
from voxrun.audio.opened import open_audio
from voxrun.audio.source import Source

RATE = 16000
SOUND = digits()


def muxed(
    container: str, codec: str, moved: Callable[[int, float], float | None], film: bool = False
) -> bytes:
    """The sound, the packet number i of which begins at moved(i, its time), or is left out."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        track = output.add_stream(codec, rate=RATE, layout="mono")
        if film:
            picture = output.add_stream("mpeg2video" if container == "mpeg" else "flv1", rate=25)
            picture.width, picture.height = 64, 48
            picture.pix_fmt = "yuv420p"
            for _ in range(50):
                blank = av.VideoFrame(64, 48, "yuv420p")
                output.mux(picture.encode(blank))
        frame = av.AudioFrame.from_ndarray(
            (SOUND * 32767).astype("<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        packets = [*_encoded(track, frame), *track.encode(None)]
        for i, packet in enumerate(packets):
            time = moved(i, float(packet.pts * packet.time_base))
            if time is not None:
                packet.pts = packet.dts = round(time / packet.time_base)
                output.mux(packet)
    return file.getvalue()


def _encoded(track, frame):
    resampler = av.AudioResampler(format=track.format, layout="mono", rate=track.rate, frame_size=960)
    return [packet for part in resampler.resample(frame) for packet in track.encode(part)]


def heard(data: bytes) -> tuple[Source, np.ndarray]:
    source = open_audio(data, RATE)
    return source, np.concatenate(list(source))


def test_packets_that_a_codec_does_not_send_in_silence_are_silence() -> None:
    """As browsers record calls: Opus with discontinuous transmission, a packet each 400 ms."""
    source, samples = heard(muxed("webm", "libopus", lambda i, at: at if i % 20 < 4 or i < 100 else None))
    assert len(samples) / RATE == pytest.approx(len(SOUND) / RATE, abs=0.5)
    assert source.whole


def test_times_that_begin_late_are_no_loss() -> None:
    """A part of a longer recording keeps its times."""
    source, samples = heard(muxed("matroska", "flac", lambda i, at: at + 5))
    assert len(samples) == pytest.approx(len(SOUND), abs=RATE / 10)
    assert (source.whole, source.lost) == (True, 0)


@pytest.mark.parametrize(("gap", "told"), [(0.3, False), (1.5, True)])
def test_later_sound_keeps_its_time_behind_a_gap(gap: float, told: bool) -> None:
    source, samples = heard(muxed("matroska", "flac", lambda i, at: at + gap * (i >= 10)))
    assert len(samples) / RATE == pytest.approx(len(SOUND) / RATE + gap, abs=0.1)
    assert (not source.whole, source.lost) == (told, pytest.approx(gap if told else 0, abs=0.05))


def test_times_that_leap_are_not_believed() -> None:
    _source, samples = heard(muxed("matroska", "flac", lambda i, at: at + 300 * i))
    assert len(samples) / RATE < 620  # not 30,000


def test_many_short_gaps_are_told_but_for_codecs_that_pause() -> None:
    for pauses in (False, True):
        losses = Losses()
        gaps = TimedGaps(losses, 0.0, pauses=pauses)
        silence = [gaps.sound(0, 0, 0.4 * i, 0.2) for i in range(20)]
        assert sum(silence) == pytest.approx(0.2 * 19)
        assert losses.told is not pauses


@pytest.mark.parametrize(("container", "codec"), [("flv", "aac"), ("mpeg", "mp2")])
def test_a_sound_track_that_begins_after_the_picture_is_found(container: str, codec: str) -> None:
    source, samples = heard(muxed(container, codec, lambda i, at: at + 1.0, film=True))
    assert len(samples) / RATE == pytest.approx(len(SOUND) / RATE + 1, abs=0.3)
    assert np.abs(samples[: RATE // 2]).max() < 0.01
    assert source.whole

"""Which sound is heard: a track, a channel, all averaged; and what is said if it is next to nothing."""

import numpy as np
import pytest
from ears import Ears
from likeness import LIKE, likeness
from recordings import RECORDINGS
from recordings.formats import SOUND
from recordings.joined import OTHER
from recordings.levels import HEARD, SILENT, channels
from recordings.riff import form, pcm16, wav
from recordings.video import SECOND_TRACK, film

from voxrun.audio.choice import Choice, Raw
from voxrun.audio.opened import open_audio
from voxrun.errors import AudioError

STEREO = wav(pcm16(channels(SOUND, -SOUND)), fmt=form(channels=2))


def heard(data: bytes, **choice: int) -> np.ndarray:
    return np.concatenate(list(open_audio(data, 16000, choice=Choice(**choice))))


@pytest.mark.parametrize("container", SECOND_TRACK)
def test_the_second_sound_track_of_a_video(container) -> None:
    recording = SECOND_TRACK[container]
    samples = heard(recording.make(), track=2)
    assert len(samples) / 16000 == pytest.approx(recording.seconds, abs=recording.within)
    assert likeness(samples, OTHER) > LIKE > likeness(samples, SOUND)


@pytest.mark.parametrize("track", [3, 100])
def test_a_track_that_is_not_there_is_named(track) -> None:
    with pytest.raises(AudioError, match=f"no sound track {track}; the recording has 2 sound tracks"):
        heard(film("mp4", "aac", SOUND, OTHER)(), track=track)


@pytest.mark.parametrize("name", ["wav", "wav-mulaw", "w64", "aiff-0", "flac", "opus", "mp3"])
def test_a_second_track_is_refused_where_there_is_one(tmp_path, name) -> None:
    path = tmp_path / name
    path.write_bytes(RECORDINGS[name].make())
    with pytest.raises(AudioError, match="no sound track 2; the recording has one sound track"):
        open_audio(path, 16000, choice=Choice(track=2))


def test_raw_samples_have_no_second_track() -> None:
    with pytest.raises(AudioError, match="no sound track 2"):
        open_audio(pcm16(SOUND), 16000, choice=Choice(track=2, raw=Raw.parse("s16le:16000")))


@pytest.mark.parametrize(("channel", "sign"), [(1, 1), (2, -1)])
def test_one_channel(channel, sign) -> None:
    assert np.array_equal(heard(STEREO, channel=channel), sign * SOUND)


def test_a_channel_that_is_not_there_is_named() -> None:
    with pytest.raises(AudioError, match="there is no channel 3; the recording has 2 channels"):
        heard(STEREO, channel=3)


@pytest.mark.parametrize("recording", SILENT + HEARD, ids=lambda each: each.name)
def test_next_to_nothing_is_told_in_one_line_and_sound_is_not(
    monkeypatch, capsys, transcriber, tmp_path, recording
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(recording.make())
    said = Ears(monkeypatch, capsys, transcriber).file(path).said
    assert said.count("\n") == (recording in SILENT), said


def test_channels_that_cancel_out_point_to_the_option(monkeypatch, capsys, transcriber, tmp_path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(STEREO)
    assert "--channel" in Ears(monkeypatch, capsys, transcriber).file(path).said

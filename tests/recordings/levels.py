"""Recordings that hold sound of odd levels and layouts: silence, cancelling or dead channels, NaN."""

import numpy as np

from .encode import by_libsndfile
from .formats import SOUND, STEREO
from .joined import flac
from .recording import exact, lossy, refused
from .riff import form, pcm16, wav
from .sounds import in_channels

NONE = np.zeros(len(SOUND), np.float32)
QUIET = (SOUND * 0.001).astype(np.float32)


def channels(*sounds: np.ndarray) -> np.ndarray:
    """[n] each -> [n, channels]."""
    return np.stack(sounds, axis=1).astype(np.float32)


def with_value(value: float) -> bytes:
    """A float WAV with one odd sample."""
    sound = SOUND.copy()
    sound[1000] = value
    return by_libsndfile(sound, "WAV", "FLOAT")


SILENT = [
    exact("silence", "silence", lambda: wav(pcm16(NONE)), NONE),
    exact(
        "cancelling",
        "two channels that cancel each other",
        lambda: wav(pcm16(channels(SOUND, -SOUND)), fmt=form(channels=2)),
        NONE,
    ),
    exact("quiet", "a phrase 60 dB too quiet", lambda: by_libsndfile(QUIET, "WAV", "FLOAT"), QUIET),
]
"""Each needs a line on stderr: nothing will be heard."""
HEARD = [
    exact(
        "dead-channel",
        "two channels, one silent",
        lambda: by_libsndfile(channels(SOUND, NONE), "WAV", "FLOAT"),
        SOUND / 2,
    ),
    lossy("surround", "5.1", lambda: flac(in_channels(SOUND, 6)), SOUND, 0),
    exact("stereo-flac", "FLAC, two channels alike", lambda: flac(STEREO), SOUND),
]
ODD = [
    refused("nan", "float WAV with NaN", lambda: with_value(np.nan)),
    refused("infinite", "float WAV with an infinite sample", lambda: with_value(np.inf)),
]
ALL = SILENT + HEARD + ODD

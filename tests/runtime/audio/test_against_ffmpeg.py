"""A small part of `benchmarks/containers.py`: what ffmpeg makes is heard as long as ffmpeg hears it."""

from pathlib import Path

import numpy as np
import pytest
from recordings.matrix import KINDS, Kind, made
from recordings.sounds import phrase

from voxrun.audio.file import FileSource

pytestmark = pytest.mark.slow
PADDING = 0.15
"""Seconds of the encoder's padding at the end that only a newer FFmpeg cuts."""
SOME = [
    kind for kind in KINDS if kind.suffix in ("w64", "caf", "ogg", "mp3", "m4a", "wma", "wv", "dts", "mpg")
]


@pytest.mark.parametrize("kind", SOME, ids=lambda kind: kind.name)
def test_as_long_as_ffmpeg_hears_it(kind: Kind, tmp_path: Path) -> None:
    files = 0
    for each in made(kind, phrase(), tmp_path, rates=(48000,)):
        source = FileSource(each.path, each.rate)
        ours = np.concatenate(list(source))
        assert source.whole
        assert -0.001 <= len(ours) / each.rate - each.seconds <= PADDING, each
        if kind.lossless:
            assert np.array_equal(ours, each.samples.mean(axis=1, dtype=np.float32)), each
        files += 1
    assert files

"""Every odd recording is heard to its end, or what is missing is told: docs/recordings.md."""

import io
import math

import numpy as np
import pytest
from committed import ROOT
from ears import Ears, Heard
from likeness import LIKE, likeness
from recording_table import DOCUMENT, document
from recordings import ANY, KINDS, RECORDINGS, Recording

from voxrun.audio.opened import open_audio
from voxrun.audio.source import SHORTEST
from voxrun.errors import AudioError

pytestmark = pytest.mark.slow
SAID_WITHIN = 0.25
"""Seconds by which what is told as lost may differ from what is."""


@pytest.fixture
def ears(monkeypatch, capsys, transcriber) -> Ears:
    return Ears(monkeypatch, capsys, transcriber)


@pytest.fixture(scope="module")
def rows():
    """The table's rows, filled by the tests: name -> what the file and the pipe gave."""
    return {}


@pytest.mark.parametrize("name", RECORDINGS)
def test_it_is_heard_to_its_end_or_what_is_missing_is_told(ears, rows, tmp_path, name) -> None:
    recording = RECORDINGS[name]
    path, data = tmp_path / name, recording.make()
    path.write_bytes(data)
    heard, piped = ears.file(path), ears.pipe(data)
    rows[name] = heard, piped
    for each in (heard, piped):
        check(recording, each)
    assert recording.refused or piped.text == heard.text
    check_object(recording, io.BytesIO(data), heard)


def check_object(recording: Recording, file: io.BytesIO, heard: Heard) -> None:
    """A Python program hears what the command hears."""
    if recording.refused:
        with pytest.raises(AudioError):
            list(open_audio(file, 16000))
    else:
        assert np.array_equal(np.concatenate(list(open_audio(file, 16000))), heard.samples)


def check(recording: Recording, heard: Heard) -> None:
    """What was heard is what the recording says of itself."""
    assert "Traceback" not in heard.said
    assert heard.code == (2 if recording.refused or heard.lost else 0), heard.said
    if recording.refused:
        assert heard.seconds < SHORTEST and heard.said.count("\n") == 1, heard.said
        return
    check_sound(recording, heard)
    check_loss(recording, heard)


def check_sound(recording: Recording, heard: Heard) -> None:
    filled = recording.lost if recording.lost > 0 else 0.0  # silence may stand for what is missing
    least, most = recording.seconds - recording.within, recording.seconds + filled + recording.within
    assert least - 1e-6 <= heard.seconds <= most + 1e-6, heard.said
    if recording.exact:
        assert np.array_equal(heard.samples, recording.sound)
    elif recording.sound is not None:
        assert likeness(heard.samples, recording.sound) > LIKE


def check_loss(recording: Recording, heard: Heard) -> None:
    if recording.lost == ANY:
        return
    if recording.lost == 0:
        assert heard.lost == 0, heard.said
    elif math.isnan(recording.lost):
        assert heard.lost != 0, heard.said
    else:
        missing = recording.lost
        assert abs(heard.lost - missing) <= max(SAID_WITHIN, recording.within), heard.said


def test_the_table_shows_the_outcomes(request, rows) -> None:
    path = ROOT / DOCUMENT
    if len(rows) < len(RECORDINGS):
        pytest.skip("only some of the recordings were tried")
    written = document(KINDS, rows)
    if request.config.getoption("--write-recordings", default=False):
        path.write_text(written, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == written

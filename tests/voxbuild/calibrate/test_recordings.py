"""What calibrates: any recordings, with what the unquantized source itself hears in them."""

import shutil
import threading

import numpy as np
import pytest
import soundfile
from projects import edit, make_project

from voxbuild import stages
from voxbuild.artifact.variant import Variant
from voxbuild.calibrate import whole
from voxbuild.calibrate.recordings import load_recordings, own_tokens, transcripts
from voxbuild.errors import ConvertError, FormatError, RecipeError
from voxbuild.files import read_json
from voxbuild.plan import work as plan_work
from voxbuild.recipes.book import read_book
from voxbuild.tensors.second_moments import SecondMoments
from voxbuild.workspace import Workspace
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber

CLIPS = """\
name: own
summary: Nobody wrote what is said in them.
folder: ../../own
language: und
license: not stated
attribution: the speakers are not stated.
"""


@pytest.fixture
def project(tmp_path, root):
    """A project whose recipe calibrates over a folder of recordings without transcripts."""
    folder = make_project(tmp_path / "project", ("4bit",), clips=1)
    edit(folder / "recipes/4bit.yaml", "size: 64}", "size: 64, search: gptq}\ncalibrate: own")
    (folder / "recipes/clips/own.yaml").write_text(CLIPS)
    (folder / "own").mkdir()
    shutil.copyfile(root / "tiny/clips/calibration/vm-isonphone.flac", folder / "own/b")
    shutil.copyfile(root / "tiny/clips/calibration/vm-onefor.flac", folder / "own/a.flac")
    return folder


def calibrated(folder):
    """The variant, after the stages up to its calibration."""
    work = Workspace(folder)
    book = read_book(work.recipes)
    source = book.source("tiny")
    stages.fetch(work, source)
    stages.calibrate(work, source, book.clips["own"], "matrix")
    return Variant(work, book, source, book.recipe("4bit"))


@pytest.mark.slow
def test_recordings_without_transcripts_calibrate(project):
    variant = calibrated(project)
    paths = [project / "own/a.flac", project / "own/b"]
    file = variant.work.tokens_file("tiny", "own")
    recordings = load_recordings(file, paths)
    transcriber = Transcriber.open(variant.fetched.folder)
    for recording, path in zip(recordings, paths, strict=True):
        heard = transcriber.transcribe(path)
        assert (recording.path, recording.tokens) == (path, tuple(heard.tokens))
        assert (recording.text, recording.seconds) == (heard.text, heard.seconds)
    with SecondMoments(variant.moments_file) as moments:
        assert moments.heard.recordings == 2
        assert moments.of("encoder.layers.0.attention.v_proj").shape == (192, 192)
    with pytest.raises(FormatError, match=r"own.tokens.json: it is about other recordings; calibrate again"):
        load_recordings(file, paths[:1])


@pytest.mark.slow
def test_what_was_heard_before_an_interruption_is_not_heard_again(tmp_path, root, project, monkeypatch):
    tiny, paths, kept = (
        root / "tiny/checkpoint",
        [project / "own/a.flac", project / "own/b"],
        tmp_path / "kept",
    )
    whole = own_tokens(tiny, paths, lambda: None)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_tokens(tiny, paths, interrupted, kept)
    heard, transcribe = [], Transcriber.transcribe
    monkeypatch.setattr(Transcriber, "transcribe", lambda *args: heard.append(args[1]) or transcribe(*args))
    done = []
    assert own_tokens(tiny, paths, lambda: done.append(1), kept) == whole
    assert (heard, len(done)) == (paths[1:], 2)
    shutil.copyfile(paths[0], paths[1])
    own_tokens(tiny, paths, lambda: None, kept)
    assert heard == paths[1:]
    own_tokens(shutil.copytree(tiny, tmp_path / "other"), paths[:1], lambda: None, kept)
    assert heard == [paths[1], paths[0]]


@pytest.mark.slow
def test_of_a_large_model_only_the_tokens_are_kept(project, monkeypatch):
    for module in (whole, plan_work):
        monkeypatch.setattr(module, "KEPT", 10**6)
    variant = calibrated(project)
    assert variant.work.tokens_file("tiny", "own").is_file()
    with SecondMoments(variant.moments_file) as moments:
        assert moments.heard.recordings == 2
        assert moments.of("encoder.layers.0.attention.q_proj") is None
    stages.write_plan(variant)
    assert len(read_json(variant.plan_file)["calibration"]["sha256"]) == 64


@pytest.mark.slow
def test_a_recording_that_calibrates_does_not_validate_under_another_name(project):
    variant = calibrated(project)
    validated = next(iter(variant.clip_sets.values())).corpus
    there = next(p for p in validated.files(variant.work.clips) if p.suffix == ".flac")
    shutil.copyfile(there, project / "own/c.flac")
    with pytest.raises(RecipeError, match=r"own cannot calibrate what \S+ validates: \S+c.flac and"):
        stages.write_plan(variant)


@pytest.mark.slow
def test_silence_alone_does_not_calibrate(project):
    for path in (project / "own").iterdir():
        path.unlink()
    soundfile.write(project / "own/silence.wav", np.zeros(16000), 16000)
    with pytest.raises(ConvertError, match="hears no word in the recordings that calibrate"):
        calibrated(project)
    assert not Workspace(project).tokens_file("tiny", "own").exists()


def prompts(root, n):
    return sorted((root / "tiny/clips/prompts").glob("*.flac"), key=lambda path: path.stat().st_size)[
        1 : n + 1
    ]


def test_a_recording_that_cannot_be_read_ends_the_hearing(root, tmp_path):
    paths = [*prompts(root, 1), tmp_path / "absent.wav", tmp_path / "other.wav"]
    with pytest.raises(AudioError, match=r"absent\.wav: cannot be read"):
        transcripts(root / "tiny/checkpoint", paths)


def test_an_interruption_leaves_the_recordings_that_were_not_begun(root, monkeypatch):
    begun, transcribe = [], Transcriber.transcribe

    def interrupt(heard):
        raise KeyboardInterrupt

    monkeypatch.setattr("voxbuild.calibrate.recordings.sessions_at_once", lambda model: 2)
    monkeypatch.setattr(Transcriber, "transcribe", lambda *args: begun.append(1) or transcribe(*args))
    with pytest.raises(KeyboardInterrupt):
        transcripts(root / "tiny/checkpoint", prompts(root, 1) * 50, interrupt)
    for thread in [t for t in threading.enumerate() if t.name.startswith("voxbuild-listen")]:
        thread.join(60)
        assert not thread.is_alive()
    assert len(begun) < 50

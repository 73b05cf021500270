"""Jobs give the same results in any company; nothing is heard twice, also after a run was killed."""

import gc
import os
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import hearings
import numpy as np
import pytest
from hearings import CHECKPOINT, coarser, jobs_of, model_of, shortest
from patience import PATIENCE
from small_sources import unusable_model

from voxbuild.errors import ValidationError
from voxbuild.evaluate import local
from voxbuild.evaluate.local import Local
from voxbuild.evaluate.records import Records
from voxbuild.evaluate.run import references, results
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber

CLIPS = shortest(4)


class Counting(Local):
    """Counts the jobs that are computed."""

    def __init__(self):
        self.heard = []

    def run(self, jobs):
        self.heard += [job.name for job in jobs]
        yield from super().run(jobs)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The source's records of the clips, and its references."""
    records = Records(tmp_path_factory.mktemp("heard"))
    found = references(jobs_of(model_of(CHECKPOINT), CLIPS), records, Local())
    return records, [reference for _, reference in found]


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """A model that writes something else in some clips."""
    return model_of(coarser(tmp_path_factory.mktemp("coarse") / "model"), "coarse")


@pytest.fixture
def records(tmp_path):
    """An empty folder of records."""
    return Records(tmp_path / "heard")


def plain(heard):
    """Results as what can be compared, by clip."""
    return {job.name: (r.text, r.tokens, r.seconds, r.kl.tobytes(), r.same.tolist()) for job, r in heard}


@pytest.mark.slow
@pytest.mark.parametrize("delay_ms", [480.0, 160.0])
def test_results_are_the_same_one_by_one_and_several_at_once(known, coarse, monkeypatch, tmp_path, delay_ms):
    source = jobs_of(model_of(CHECKPOINT), CLIPS, delay_ms=delay_ms)
    given = [reference for _, reference in references(source, Records(tmp_path), Local())]
    jobs = jobs_of(coarse, CLIPS, given, delay_ms)
    together = plain(Local().run(jobs))
    alone = {}
    for job in jobs:
        alone |= plain(Local().run([job]))
    monkeypatch.setattr(local, "sessions_at_once", lambda model: 2)
    assert together == alone == plain(Local().run(jobs[::-1]))
    transcriber = Transcriber.open(coarse.folder)
    sessions = [transcriber.transcribe(path, delay_ms=delay_ms) for path in CLIPS]
    assert [(each.text, tuple(each.tokens), each.seconds) for each in sessions] == [
        together[job.name][:3] for job in jobs
    ]
    assert any(each.tokens != list(reference.tokens) for each, reference in zip(sessions, given, strict=True))


def test_a_model_agrees_with_itself_completely(known, records):
    for heard in results(jobs_of(model_of(CHECKPOINT, "copy"), CLIPS[:1], known[1][:1]), records, Local()):
        assert heard.tokens == known[1][0].tokens
        assert heard.same.all()
        assert heard.kl.max() < 1e-6


def test_nothing_is_heard_twice(known, coarse, tmp_path):
    """Not for another name, and not for another clip set with the same recording."""
    runner, done = Counting(), []
    first = jobs_of(coarse, CLIPS[:2], known[1][:2])
    twice = [*first, replace(first[0], name="other/clip")]
    heard = results(twice, Records(tmp_path), runner, lambda: done.append(1))
    assert (runner.heard, len(done)) == ([job.name for job in first], 3)
    assert heard[2] is heard[0]
    renamed = replace(coarse, name="renamed")
    jobs = jobs_of(renamed, CLIPS[:3], known[1][:3])
    again = results(jobs, Records(tmp_path), runner)
    assert runner.heard[2:] == [jobs[2].name]
    assert [each.kl.tobytes() for each in again[:2]] == [each.kl.tobytes() for each in heard[:2]]


def test_one_model_is_in_memory_at_a_time(known, coarse, records, monkeypatch):
    alive, opened, opening = [], [], Transcriber.open

    def watched(folder):
        gc.collect()
        alive.append(sum(ref() is not None for ref in opened))
        transcriber = opening(folder)
        opened.append(weakref.ref(transcriber.model))
        return transcriber

    monkeypatch.setattr(Transcriber, "open", watched)
    other = model_of(CHECKPOINT, "other")
    jobs = jobs_of(coarse, CLIPS[:1], known[1][:1]) + jobs_of(other, CLIPS[:1], known[1][:1])
    results(jobs, records, Local())
    assert alive == [0, 0]


def test_a_model_without_finite_results_is_no_number_and_such_a_source_is_refused(known, records, tmp_path):
    broken = model_of(unusable_model(tmp_path / "broken"))
    (heard,) = results(jobs_of(broken, CLIPS[:1], known[1][:1]), records, Local())
    assert np.isnan(heard.kl).all()
    (again,) = results(jobs_of(broken, CLIPS[:1], known[1][:1]), records, None)
    assert again.kl.tobytes() == heard.kl.tobytes()
    with pytest.raises(
        ValidationError, match=r"source in .*broken is not usable: its weights give no finite"
    ):
        references(jobs_of(broken, CLIPS[:1]), records, Local())


def test_what_was_heard_before_a_clip_that_cannot_be_read_is_kept(
    known, coarse, records, tmp_path, monkeypatch
):
    monkeypatch.setattr(local, "sessions_at_once", lambda model: 1)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF no sound")
    jobs = jobs_of(coarse, [CLIPS[0], bad, CLIPS[1]], [known[1][0], known[1][0], known[1][1]])
    with pytest.raises(AudioError, match=r"bad\.wav"):
        results(jobs, records, Local())
    assert [records.get(job) is not None for job in jobs] == [True, False, False]


def test_damaged_scores_are_told_by_their_hash(known, coarse, records, tmp_path):
    path = tmp_path / "scores.npz"
    path.write_bytes(known[1][0].scores.read_bytes()[:-1])
    with pytest.raises(ValidationError, match=r"scores\.npz: the source's scores are damaged"):
        results(jobs_of(coarse, CLIPS[:1], [replace(known[1][0], scores=path)]), records, Local())


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_run_goes_on_where_it_was_ended(tmp_path, end):
    """And gives what it would have given."""
    program, folder = Path(hearings.__file__), tmp_path / "heard"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, program, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    for _ in range(2):
        assert process.stdout.readline() == b"heard\n"
    process.send_signal(end)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    jobs, runner = jobs_of(model_of(CHECKPOINT), shortest(8)), Counting()
    found = references(jobs, Records(folder), runner)
    assert 0 < len(runner.heard) <= 6
    assert len(found) == 8
    whole = references(jobs, Records(tmp_path / "whole"), Local())
    assert [r.tokens for r, _ in found] == [r.tokens for r, _ in whole]
    assert [reference.digest for _, reference in found] == [reference.digest for _, reference in whole]

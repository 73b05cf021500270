"""Records: a result is found by what determines it, whatever happened to the file, and by nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxbuild.evaluate.jobs import Job, Model, Reference, Result
from voxbuild.evaluate.records import Records
from voxbuild.evaluate.scores import Scores

MODEL = Model("4bit", Path("4bit"), "a" * 64)
REFERENCE = Reference((1, 2, 3), Path("scores.npz"), "b" * 64)
JOB = Job(MODEL, "few/one", Path("one.flac"), "c" * 64, 480.0, REFERENCE)
RESULT = Result(
    "präss — ", (7, 0, 9), 1.5, np.array([0.1, np.nan, 0], np.float32), np.array([True, False, True])
)
SETTING = {"voxrun": "1", "device": "cpu"}
SOURCE = replace(JOB, reference=None)
HEARD = replace(RESULT, kl=None, same=None, scores=Scores.of([np.eye(3, dtype=np.float32)]))


@pytest.fixture
def records(tmp_path):
    """Opens the folder, as another process would."""
    return lambda setting=SETTING: Records(tmp_path / "heard", setting)


def equal(one, other):
    return (
        (one.text, one.tokens, one.seconds) == (other.text, other.tokens, other.seconds)
        and one.kl.tobytes() == other.kl.tobytes()
        and one.same.tolist() == other.same.tolist()
    )


def test_a_result_is_kept_to_the_bit_and_names_do_not_matter(records):
    assert records().get(JOB) is None
    records().add(JOB, RESULT)
    renamed = replace(MODEL, name="other", folder=Path("else"), repo="owner/name")
    moved = replace(REFERENCE, scores=Path("elsewhere.npz"))
    for job in (JOB, replace(JOB, model=renamed, name="x/y", path=Path("two.wav"), reference=moved)):
        assert equal(records().get(job), RESULT)


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, sha256="d" * 64),
        replace(JOB, delay_ms=960.0),
        replace(JOB, model=replace(MODEL, digest="d" * 64)),
        replace(JOB, reference=replace(REFERENCE, digest="d" * 64)),
        replace(JOB, reference=replace(REFERENCE, tokens=(1, 2, 4))),
    ],
)
def test_another_job_is_not_known(records, other):
    records().add(JOB, RESULT)
    assert records().get(other) is None


@pytest.mark.parametrize("change", [{"voxrun": "2"}, {"device": "gpu"}])
def test_another_runtime_or_device_hears_again(records, change):
    records().add(JOB, RESULT)
    assert records(SETTING | change).get(JOB) is None
    records(SETTING | change).add(JOB, replace(RESULT, text="other"))
    assert records().get(JOB).text == RESULT.text


def test_a_torn_or_damaged_line_loses_that_clip_only(records, tmp_path):
    jobs = [replace(JOB, sha256=letter * 64) for letter in "123"]
    for job in jobs:
        records().add(job, RESULT)
    (file,) = (tmp_path / "heard").glob("*.jsonl")
    whole = file.read_bytes()
    for cut in (1, 5, len(whole.splitlines()[-1])):
        file.write_bytes(whole[:-cut])
        known = records()
        assert [known.get(job) is not None for job in jobs] == [True, True, cut == 1]
        records().add(jobs[2], RESULT)
        assert all(records().get(job) for job in jobs)
    file.write_bytes(whole.replace(b"480", b"481", 1).replace(b'"text"', b'"texf"', 1))
    assert [records().get(job) is not None for job in jobs] == [False, True, True]


def test_the_sources_scores_are_kept_and_heard_again_if_they_are_damaged(records, tmp_path):
    assert records().add(SOURCE, HEARD).scores is None
    assert records().get(SOURCE) == replace(HEARD, scores=None)
    reference = records().reference(SOURCE)
    assert reference.tokens == HEARD.tokens
    assert np.array_equal(Scores.load(reference.scores, reference.digest).logs, HEARD.scores.logs)
    content = reference.scores.read_bytes()
    reference.scores.write_bytes(content[:-1])
    assert records().get(SOURCE) is None
    records().add(SOURCE, HEARD)
    assert records().reference(SOURCE) == reference
    reference.scores.unlink()
    assert records().get(SOURCE) is None


WRITER = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
from test_what_was_heard import JOB, RESULT, SETTING, Records, Path
records = Records(Path(sys.argv[2]), SETTING)
for i in range(60):
    records.add(replace(JOB, sha256=f"{sys.argv[3]}{i:063}"), replace(RESULT, text=sys.argv[3] * 9000))
"""


@pytest.mark.slow
def test_processes_that_write_at_the_same_time_damage_nothing(records, tmp_path):
    here = str(Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, here, tmp_path / "heard", letter]) for letter in "xyz"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    known = records()
    for letter in "xyz":
        for i in range(60):
            assert known.get(replace(JOB, sha256=f"{letter}{i:063}")).text == letter * 9000

"""Which clips a worker of a cluster hears next."""

from pathlib import Path

import pytest

from voxbuild.errors import ClusterError
from voxbuild.evaluate.groups import MOST_LOSSES, SIZE, Groups
from voxbuild.evaluate.jobs import Job, Model

A, B = (Model(name, Path(name), name) for name in "ab")


def jobs(model, n, delay=480):
    return [Job(model, f"{i}.wav", Path(f"{i}.wav"), str(i), delay) for i in range(n)]


def drained(groups, opened=None):
    taken = []
    while group := groups.take(opened, []):
        taken.append(group.jobs)
    return taken


def test_groups_have_one_model_and_delay_and_cover_every_job_once():
    wanted = jobs(A, SIZE + 1) + jobs(B, 2) + jobs(A, 1, 160)
    taken = drained(Groups(wanted))
    assert sorted(map(len, taken)) == [1, 1, 2, SIZE]
    assert all(len({(job.model, job.delay_ms) for job in group}) == 1 for group in taken)
    assert sorted(map(repr, wanted)) == sorted(repr(job) for group in taken for job in group)


def test_a_worker_keeps_its_model_and_a_new_one_takes_the_model_that_needs_it_most():
    groups = Groups(jobs(A, 5 * SIZE) + jobs(B, 2 * SIZE))
    assert groups.take("b", []).model == B
    assert groups.take("b", ["a"]).model == B
    assert groups.take("b", ["a"]).model == A  # nothing is left of b
    groups = Groups(jobs(A, 5 * SIZE) + jobs(B, 2 * SIZE))
    assert [groups.take(None, opened).model for opened in ([], ["a"], ["a", "a"])] == [A, A, B]


def test_clips_of_a_lost_worker_come_first_and_alone():
    groups = Groups(jobs(A, SIZE + 3))
    lost = groups.take(None, [])
    groups.put_back_lost(lost)
    assert drained(groups)[:SIZE] == [(job,) for job in lost.jobs]


def test_a_clip_over_which_workers_are_lost_again_and_again_is_named():
    groups = Groups(jobs(A, 2))
    groups.put_back_lost(groups.take(None, []))
    with pytest.raises(
        ClusterError, match=rf"{MOST_LOSSES} workers were lost while a heard 0\.wav at 480 ms"
    ):
        for _ in range(MOST_LOSSES):
            groups.put_back_lost(groups.take(None, []))

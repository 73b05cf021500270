"""Clips are heard on a Dask cluster as in this process, whatever happens to its workers."""

import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from dask_processes import scheduler, wait_for, worker
from projects import doit, make_project

from voxbuild.errors import ClusterError, ValidationError
from voxbuild.evaluate import cluster, connection, groups
from voxbuild.evaluate.cluster import Cluster
from voxbuild.evaluate.jobs import UNQUANTIZED, Job, Model, Reference
from voxbuild.evaluate.local import Local
from voxrun.errors import AudioError
from voxrun.files.hashes import sha256_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
MODEL = Model(UNQUANTIZED, ROOT / "tiny/checkpoint", "the digest")
CLIPS = sorted((ROOT / "tiny/clips/prompts").glob("*.flac"), key=lambda path: path.stat().st_size)[:3]

# A worker that leaves a file with its process's number when it begins to hear, and hears for ever.
STUCK = """
import os, threading
from pathlib import Path
from voxbuild.evaluate import worker

def compute(transcriber, jobs):
    Path("begun").write_text(str(os.getpid()))
    threading.Event().wait()

worker.compute = compute
"""
# A worker that ends when it sends its answer.
BOMB = """
import os, signal
from voxbuild.evaluate import worker

class Bomb:
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)

worker.compute = lambda transcriber, jobs: [Bomb()]
"""
OTHER_VERSION = "import voxrun; voxrun.__version__ = '0.0.1'"
NOT_INSTALLED = "import sys; sys.modules['voxbuild'] = None"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler with two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    with (
        scheduler(folder / "scheduler") as address,
        worker(address, folder / "one"),
        worker(address, folder / "two"),
    ):
        yield address


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The source hears clips at two delays; it is compared with itself at one as if that were a variant."""
    folder = tmp_path_factory.mktemp("scores")
    source = [job(path, delay) for path in CLIPS for delay in (240, 480)]
    heard = {each: result for each, result in Local().run(source) if each.delay_ms == 240}
    references = [
        Reference(result.tokens, folder / f"{each.name}.npz", result.scores.save(folder / f"{each.name}.npz"))
        for each, result in heard.items()
    ]
    return source + [
        replace(each, delay_ms=480, reference=reference)
        for each, reference in zip(heard, references, strict=True)
    ]


@pytest.fixture(scope="module")
def expected(jobs):
    """What this process hears."""
    return in_bytes(Local().run(jobs))


def job(path, delay=480, **options):
    return Job(MODEL, path.name, path, sha256_of(path), delay, **options)


def in_bytes(results):
    """Job -> all that was heard, to the bit."""
    return {
        each: (
            result.text,
            result.tokens,
            result.seconds,
            [array.tobytes() for array in (result.kl, result.same) if array is not None],
            [array.tobytes() for array in vars(result.scores).values()] if result.scores else None,
        )
        for each, result in results
    }


def test_results_are_equal_to_the_byte(address, jobs, expected, capsys):
    assert in_bytes(Cluster(address).run(jobs)) == expected
    assert f"cluster: {len(jobs)} clip(s) with " in capsys.readouterr().err


def test_doit_hears_on_the_cluster_that_is_named(address, tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    for words in (["reference", "validate"], ["evaluate", "delays=240"]):
        process = doit(project, *words, "recipe=4bit", f"scheduler={address}")
        assert process.stdout.count("cluster: 1 clip(s) with ") == 2, (
            process.stdout
        )  # the source, the variant
    assert (project / "out/tiny/evaluation.json").is_file()


def test_clips_of_a_killed_worker_are_heard_by_another(
    address, jobs, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(groups, "SIZE", 1)  # enough for each worker
    (tmp_path / "stuck.py").write_text(STUCK)
    (tmp_path / "bomb.py").write_text(BOMB)
    results = []
    with (
        worker(address, tmp_path / "stuck", "--preload", tmp_path / "stuck.py") as process,
        worker(address, tmp_path / "bomb", "--preload", tmp_path / "bomb.py"),
    ):
        run = threading.Thread(target=lambda: results.extend(Cluster(address).run(jobs)))
        run.start()
        wait_for(tmp_path / "stuck/begun", process)
        os.kill(process.pid, signal.SIGKILL)
        run.join()
    assert in_bytes(results) == expected
    assert len(results) == len(jobs)
    assert capsys.readouterr().err.count(" is lost or out of memory; ") == 2


def test_workers_with_another_runtime_or_none_or_little_memory_are_refused(
    address, jobs, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(groups, "SIZE", 2)
    (tmp_path / "other.py").write_text(OTHER_VERSION)
    (tmp_path / "none.py").write_text(NOT_INSTALLED)
    with (
        worker(address, tmp_path / "other", "--preload", tmp_path / "other.py"),
        worker(address, tmp_path / "none", "--preload", tmp_path / "none.py"),
        worker(address, tmp_path / "little", "--memory-limit", "1GB"),
    ):
        assert in_bytes(Cluster(address).run(jobs)) == expected
    told = capsys.readouterr().err
    assert told.count("is refused") == 3
    assert "is refused: its memory limit is 1.0 GB, and the largest model takes 1.3 GB; start" in told
    assert "is refused: voxrun 0.0.1 there, " in told
    assert "is refused: ModuleNotFoundError(" in told


def test_no_worker_is_left_if_all_are_refused(address, jobs, monkeypatch):
    ours = cluster.machine()
    monkeypatch.setattr(cluster, "machine", lambda: ours | {"mlx": "99"})
    with pytest.raises(ClusterError, match=r"no worker can hear the clips: tcp://.*: mlx .* there, 99 here"):
        list(Cluster(address).run(jobs))


def test_weights_that_no_worker_has_are_an_error(address, jobs, tmp_path, monkeypatch):
    shutil.copytree(MODEL.folder, tmp_path / "ours", ignore=shutil.ignore_patterns("README.md"))
    monkeypatch.chdir(tmp_path)  # which is not the workers' folder
    elsewhere = replace(jobs[0], model=replace(MODEL, folder=Path("ours")))
    with pytest.raises(ClusterError, match="the weights of unquantized are not in ours there; share"):
        list(Cluster(address).run([elsewhere]))


def test_files_that_workers_do_not_see_are_sent(address, jobs, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def hidden(path):
        return Path(shutil.copyfile(path, path.name))

    unseen = [
        replace(
            each,
            path=hidden(each.path),
            reference=each.reference and replace(each.reference, scores=hidden(each.reference.scores)),
        )
        for each in jobs
    ]
    heard = in_bytes(Cluster(address).run(unseen))
    assert [heard[each] for each in unseen] == [expected[each] for each in jobs]


@pytest.mark.parametrize("seen", [True, False])
def test_a_recording_that_cannot_be_read_fails_as_in_this_process(address, jobs, tmp_path, monkeypatch, seen):
    monkeypatch.chdir(tmp_path)
    path = Path(tmp_path / "noise.wav" if seen else "noise.wav")
    path.write_bytes(b"RIFF, but nothing else")
    with pytest.raises(AudioError) as here:
        list(Local().run([job(path)]))
    with pytest.raises(AudioError) as there:
        list(Cluster(address).run([job(path)]))
    assert str(there.value) == str(here.value)


def test_a_recording_that_changes_meanwhile_is_an_error(address, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = replace(jobs[0], path=Path(shutil.copyfile(CLIPS[0], "clip.flac")))
    Path("clip.flac").write_bytes(b"another")
    unheard = replace(first, sha256="0" * 64)  # of what it was when its jobs were made
    with pytest.raises(ValidationError, match=r"clip\.flac: changed while clips were heard"):
        list(Cluster(address).run([unheard]))


def test_no_scheduler_is_an_error(jobs, monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    for address in ("tcp://127.0.0.1:9", "tls://127.0.0.1:9"):
        with pytest.raises(ClusterError, match="no Dask scheduler answers there"):
            list(Cluster(address).run(jobs))


def test_a_scheduler_that_ends_meanwhile_is_an_error(jobs, tmp_path, monkeypatch):
    (tmp_path / "stuck.py").write_text(STUCK)
    errors = []

    def run(address):
        try:
            list(Cluster(address).run(jobs))
        except ClusterError as error:
            errors.append(str(error))

    with (
        scheduler(tmp_path / "scheduler") as address,
        worker(address, tmp_path / "worker", "--preload", tmp_path / "stuck.py") as process,
    ):
        waiting = threading.Thread(target=run, args=[address])
        waiting.start()
        wait_for(tmp_path / "worker/begun", process)
        monkeypatch.setattr(connection, "CONNECT_SECONDS", 1)
        os.kill(process.pid, signal.SIGKILL)
    waiting.join()
    assert "the connection to the scheduler is lost" in errors[0]

"""A fault at any call of a publish: readers see no incomplete release, and the next publish completes it.

The calls are those that a publish makes: a new one is covered by itself.
"""

import dataclasses
import signal
import threading
from pathlib import Path

import pytest
from artifacts import contents
from fault_table import ROWS
from hub_server import Refusal
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RevisionNotFoundError
from mishaps import SlowAnswers, for_good, once, outcome, play

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how the client uploads
]

CREATE = "POST /repos/create"


def refusal(status, **headers):
    answer = Refusal(status)
    answer.headers = headers
    return answer


@pytest.fixture
def at_each_call(new_world, calls):
    """Let it go wrong at one call after the other; `first`: of those that are alike only at the first."""

    def play_all(kind, act_at, first=False, release_of=lambda world: None):
        ROWS[kind] = {}
        for number, call in enumerate(calls):
            if not (first and call in calls[:number]):
                world = new_world()
                ROWS[kind][number + 1] = outcome(world, act_at(world, number), release_of(world))
        return ROWS[kind].values()

    return play_all


@pytest.fixture
def at_creation(new_world):
    """Let it go wrong at the call that makes a new repository."""

    def play_one(kind, act_at):
        world = new_world(new=True)
        number = play(new_world(new=True))[0].calls.index(CREATE)
        ROWS[kind] = {CREATE: outcome(world, act_at(world, number))}

    return play_one


ONCE = {
    "500": {"fail": refusal(500)},
    "cut before the answer": {"cut": "before"},
    "cut within the answer": {"cut": "within"},
    "cut after the answer": {"cut": "after"},
}


@pytest.mark.parametrize("kind", ONCE)
def test_a_single_failure_is_retried(at_each_call, at_creation, kind):
    def act_at(world, number):
        return once(number, **ONCE[kind])

    found = at_each_call(f"{kind}, once", act_at)
    at_creation(f"{kind}, once, the repository is new", act_at)
    assert {outcome.said for outcome in found} == {"published"}


@pytest.mark.parametrize("kind", [kind for kind in ONCE if "within" not in kind])
def test_a_lasting_failure_ends_the_publish(at_each_call, at_creation, kind):
    def act_at(world, number):
        return for_good(number, **ONCE[kind])

    at_each_call(f"{kind}, for good", act_at)
    at_creation(f"{kind}, for good, the repository is new", act_at)


def test_429_once(at_each_call, slept):
    pause = refusal(429, **{"Retry-After": "7"})
    found = at_each_call("429, Retry-After: 7", lambda world, number: once(number, fail=pause))
    assert {outcome.said for outcome in found} == {"published"}
    assert slept
    assert set(slept) <= {7, 8}  # the client adds a second


@pytest.mark.parametrize("status", [401, 403, 404, 409, 412])
def test_refused_for_good(at_each_call, at_creation, status):
    def act_at(world, number):
        return for_good(number, fail=refusal(status))

    at_each_call(f"{status}, for good", act_at, first=True)
    at_creation(f"{status}, for good, the repository is new", act_at)


def test_a_slow_answer_once(at_each_call, slept, monkeypatch):
    slow = SlowAnswers(monkeypatch)

    def act_at(world, number):
        return slow.at(once(number, slow=True))

    found = at_each_call("the answer is too slow, once", act_at, first=True)
    assert {outcome.said for outcome in found} == {"published"}


def test_the_repository_is_deleted(at_each_call):
    at_each_call(
        "the repository is deleted",
        lambda world, number: once(number, before=lambda script: world.delete()),
    )


def test_the_repository_is_renamed(at_each_call):
    at_each_call(
        "the repository is renamed (the next publish: under its new name)",
        lambda world, number: once(number, before=lambda script: world.hub.rename(world.repo, world.renamed)),
        release_of=lambda world: dataclasses.replace(world.release, repo=world.renamed),
    )


def test_ctrl_c(at_each_call):
    """The server still answers the pending call after the publisher has ended."""

    def act_at(world, number):
        def interrupt(script):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            script.wait()

        return once(number, before=interrupt)

    at_each_call("Ctrl-C", act_at)


def test_ctrl_c_again_and_again(new_world, calls):
    def interrupt(script):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    number = calls.index("POST /REPO/preupload/main")
    world = new_world()
    found = outcome(world, lambda n, call: {"before": interrupt} if n >= number else {})
    assert "it is unknown whether the commit was made" in found.said


def test_concurrent_downloads_of_the_tag_get_nothing_or_everything(new_world, hubs, calls, tmp_path):
    """Repeatedly while it is published, each time into an empty cache."""
    world = new_world()
    folders, ended = [], threading.Event()

    def download():
        while not ended.is_set():
            folders.append(fetch(world, hubs[1].url, tmp_path / str(len(folders))))

    fetch(world, hubs[1].url, tmp_path / "before")
    thread = threading.Thread(target=download)
    thread.start()
    play(world, lambda n, call: {"drip": 2000} if "/commit/" in call or "/tag/" in call else {})
    ended.set()
    thread.join()
    folders.append(fetch(world, hubs[1].url, tmp_path / "after"))
    whole = contents(world.release.folder) | world.theirs
    assert folders[0] is None
    assert folders[-1] == whole
    assert all(found in (None, whole) for found in folders)


def fetch(world, url, cache):
    """What the genuine client gets of the tag; None: there is no such tag."""
    try:
        folder = snapshot_download(world.repo, revision="v2", cache_dir=cache, endpoint=url)
    except RevisionNotFoundError:
        return None
    found = contents(Path(folder))
    del found[".gitattributes"]
    return found

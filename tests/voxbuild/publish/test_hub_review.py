"""Publishing to a Hub for review: branches and pull requests."""

import signal
import threading

import pytest
from hub_server import Refusal
from mishaps import Script, play
from publishers import OLD, attempt

from voxbuild.publish.hub.target import Hub
from voxbuild.publish.target import Destination

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


def test_a_branch_for_review_has_no_tag(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    for _ in range(2):
        done, said = attempt(world.release, Destination(branch="review/v2"))
        assert done, said
        assert said == f"{world.hub.url}/{world.repo}/tree/review/v2"
    assert world.reader.holds(world.repo, "review/v2") == world.whole["v2"]
    assert world.look() == "no v2"
    assert world.reader.log(world.repo, "review/v2") == ["Publish v2", "Publish v1"]


@pytest.mark.parametrize("when", [None, "after"])
def test_a_pull_request_is_made_once(new_world, when):
    world = new_world()
    lost = (lambda n, call: {"cut": when} if "/commit/" in call else {}) if when else lambda n, call: {}
    world.hub.faults = Script(world, lost)
    for _ in range(2):
        done, said = attempt(world.release, Destination(pull_request=True))
        assert done, said
        assert said == f"{world.hub.url}/{world.repo}/discussions/1"
    assert list(world.there.pulls) == ["1"]
    assert world.look() == "no v2"
    world.hub.merge(world.repo, 1)
    assert world.look() == "no v2, main holds v2"
    assert attempt(world.release)[0]
    assert world.look() == "v2 holds v2, main holds v2"
    assert world.log().count("Publish v2") == 0


def test_a_pull_request_that_cannot_be_made_is_reported(new_world):
    world = new_world()
    world.hub.faults = Script(world, lambda n, call: {"fail": Refusal(403)} if "/commit/" in call else {})
    done, said = attempt(world.release, Destination(pull_request=True))
    assert not done
    assert "403" in said
    assert not world.there.pulls


def test_a_closed_pull_request_is_not_reused(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    assert attempt(world.release, Destination(pull_request=True))[0]
    world.there.save(pulls={"1": world.there.pulls["1"] | {"status": "closed"}})
    done, said = attempt(world.release, Destination(pull_request=True))
    assert (done, said) == (True, f"{world.hub.url}/{world.repo}/discussions/2")


def test_no_pull_request_is_made_for_what_main_holds(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    assert attempt(world.release)[0]
    done, said = attempt(world.release, Destination(pull_request=True))
    assert (done, said) == (
        False,
        f"{world.repo}: main already holds this release; there is nothing to request",
    )
    assert not world.there.pulls


@pytest.mark.parametrize("branch", ["", "main"])
def test_an_empty_branch_and_main_mean_main(new_world, branch):
    world = new_world()
    world.hub.faults = Script(world)
    assert attempt(world.release, Destination(branch=branch))[0]
    assert world.look() == "v2 holds v2, main holds v2"
    world.put("v2", {"manifest.json": b"{}"})
    done, said = attempt(world.release, Destination(branch=branch))
    assert not done
    assert "the tag v2 holds another artifact" in said


@pytest.mark.parametrize("branch", ["v1", "v2"])
def test_a_branch_with_the_name_of_a_tag_is_refused(new_world, branch):
    world = new_world()
    world.hub.faults = Script(world)
    done, said = attempt(world.release, Destination(branch=branch))
    assert (done, said) == (
        False,
        f"{world.repo}: {branch} is the name of a tag; choose another with branch=NAME",
    )
    assert list(world.there.branches) == ["main"]


def test_a_tag_with_the_name_of_a_branch_is_refused(new_world):
    world = new_world()
    script = world.hub.faults = Script(world)
    world.there.save(branches=world.there.branches | {"v2": world.there.head})
    done, said = attempt(world.release)
    assert (done, said) == (
        False,
        f"{world.repo}: the tag v2 is the name of a branch; choose another with tag=NAME, or publish.tag in"
        " the recipe",
    )
    assert all(call.startswith("GET ") for call in script.calls)


def test_a_tag_is_read_even_if_a_branch_has_its_name(new_world):
    world = new_world()
    script = world.hub.faults = Script(world)
    assert attempt(world.release)[0]
    world.there.save(branches=world.there.branches | {"v1": world.there.head})
    script.look = lambda: None  # whoever says v1 to the Hub of the tests gets one or the other
    assert set(Hub().files(world.repo, "v1")) == {*OLD, "LICENSE"}
    assert Hub().read(world.repo, "v1", "manifest.json") == OLD["manifest.json"]


def interrupted(world, destination, at):
    """What is said of a publish that is interrupted when such a call has come, and is answered after that."""

    acted = []

    def act(n, call):
        return {"before": interrupt} if at in call and not acted else {}

    def interrupt(script):
        acted.append(at)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        script.wait()

    def publish(release):
        return attempt(release, destination)

    return play(world, act, publish)[2].removeprefix(f"interrupted: {world.repo}: ")


REQUEST, BRANCH = Destination(pull_request=True), Destination(branch="trial")
NEXT = "; if a commit was still being made, the next publish finds it"


@pytest.mark.parametrize(
    ("destination", "at", "new", "said"),
    [
        (REQUEST, "/refs", False, f"nothing was published{NEXT}"),
        (REQUEST, "/discussions", False, "the pull request refs/pr/1 holds the release"),
        (REQUEST, "/preupload/", True, f"nothing was published but the empty repository{NEXT}"),
        (BRANCH, "/preupload/", False, f"nothing was published but the branch trial, equal to main{NEXT}"),
        (BRANCH, "/README.md", False, "trial holds the release; publish again to verify it"),
        (Destination(), "/preupload/", True, f"nothing was published but the empty repository{NEXT}"),
        (Destination(), "/repos/create", True, f"nothing was published{NEXT}"),
    ],
)
def test_ctrl_c_reports_what_was_reached(new_world, destination, at, new, said):
    assert interrupted(new_world(new=new), destination, at) == said

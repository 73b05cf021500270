"""Withdrawing from a Hub: after any fault or concurrent change, main holds the right release."""

import pytest
from artifacts import contents
from hub_server import Refusal
from mishaps import Script, for_good, once
from publishers import ATTRIBUTES, attempt, hashes, marks, release_of

from voxbuild.errors import MissingError, PublishError
from voxbuild.publish.hub.target import Hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


def test_a_withdrawn_tag_stays_and_main_goes_back(published):
    world, folders = published("v3")
    assert Hub().yank(world.repo, "v3", "wrong vocabulary") == (f"{world.repo}: v3 is withdrawn; latest: v2")
    assert marks(world.repo) == {"v3": "wrong vocabulary", "v2": "latest", "v1": ""}
    assert world.reader.holds(world.repo, "main") == hashes(contents(folders["v2"]))
    assert world.reader.holds(world.repo, "v3") == hashes(contents(folders["v3"]))
    assert world.there.tag_messages["withdrawn-v3"] == "wrong vocabulary"
    assert world.log() == ["Withdraw v3", "Publish v3", "Publish v2", "Publish v1"]


def test_withdrawing_again_changes_nothing(published):
    world, _ = published()
    Hub().yank(world.repo, "v2", "wrong")
    state = world.state()
    Hub().yank(world.repo, "v2", "wrong")
    assert world.state() == state


def test_an_older_tag_is_withdrawn_without_a_commit(published):
    world, _ = published()
    Hub().yank(world.repo, "v1", "too old")
    assert world.log() == ["Publish v2", "Publish v1"]
    assert marks(world.repo) == {"v2": "latest", "v1": "too old"}


def test_when_all_is_withdrawn_main_is_empty(published):
    world, folders = published()
    for tag in ("v2", "v1"):
        Hub().yank(world.repo, tag, "wrong")
    assert world.reader.holds(world.repo, "main") == {}
    assert world.reader.holds(world.repo, "v1") == hashes(contents(folders["v1"]))
    assert set(marks(world.repo).values()) == {"wrong"}


def test_a_foreign_commit_on_main_is_not_reverted(published):
    world, _ = published()
    world.hub.add("models", world.repo, {"manifest.json": b"theirs"} | ATTRIBUTES, "Theirs")
    Hub().yank(world.repo, "v2", "wrong")
    assert world.log()[0] == "Theirs"
    assert marks(world.repo) == {"v2": "wrong", "v1": ""}


def test_a_withdrawn_release_is_not_published_again(published, tmp_path):
    world, _ = published()
    Hub().yank(world.repo, "v2", "wrong")
    done, said = attempt(release_of(tmp_path / "again", world.repo, b"v2" * 500, "v2"))
    assert not done
    assert "the tag v2 was withdrawn (wrong); choose another" in said
    done, said = attempt(release_of(tmp_path / "next", world.repo, b"v3" * 500, "v3"))
    assert done, said
    assert marks(world.repo) == {"v3": "latest", "v2": "wrong", "v1": ""}


def test_an_unknown_tag_cannot_be_withdrawn(published):
    world, _ = published()
    with pytest.raises(MissingError, match="there is no tag v9; its tags: v1, v2"):
        Hub().yank(world.repo, "v9", "wrong")


def yank(world):
    try:
        return Hub().yank(world.repo, "v2", "wrong")
    except PublishError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "act_at",
    [lambda n: once(n, cut="after"), lambda n: for_good(n, fail=Refusal(500))],
    ids=["cut after the answer", "500 for good"],
)
def test_a_withdrawal_that_fails_at_any_call_is_completed_by_the_next(new_world, act_at):
    number, calls = 0, [""]
    while number < len(calls):
        world = new_world()
        world.put("v2", contents(world.release.folder))
        script = world.hub.faults = Script(world, act_at(number))
        yank(world)
        number, calls = number + 1, script.calls
        world.hub.faults = Script(world)
        assert "latest: v1" in yank(world)
        assert world.look() == "v2 holds v2"  # and main v1
        assert world.log() == ["Withdraw v2", "Publish v2", "Publish v1"]
        assert not [seen for seen in script.seen if "something else" in seen]


def at_the_commit(world, act):
    """Do something once, when main's commit of a withdrawal has come."""
    script = world.hub.faults = Script(world)

    def surprise(number, call):
        if call == "POST /REPO/commit/main" and script.calls.count(call) == 1:
            return {"before": lambda script: act()}
        return {}

    script.act = surprise


@pytest.mark.slow
def test_a_release_published_during_a_withdrawal_is_not_lost(new_world, tmp_path):
    """At whichever call of the withdrawal it comes."""
    late = contents(release_of(tmp_path / "late", "someone/Late", b"late" * 500, "v3").folder)
    came, number = [0], 0
    while came == [number]:
        world, came = new_world(), []
        world.put("v2", contents(world.release.folder))
        world.whole["v3"] = hashes(late | world.theirs)

        def come(script, world=world, came=came, number=number):
            came.append(number + 1)
            world.put("v3", late)

        world.hub.faults = Script(world, once(number, before=come))
        yank(world)
        number += 1
        assert world.look() == "v2 holds v2" + (", main holds v3" if came else "")
    assert number > 20


def test_concurrent_withdrawals_leave_neither_release_on_main(published):
    world, folders = published("v3")
    at_the_commit(world, lambda: Hub().yank(world.repo, "v2", "as well"))
    Hub().yank(world.repo, "v3", "wrong")
    assert marks(world.repo) == {"v3": "wrong", "v2": "as well", "v1": "latest"}
    assert world.reader.holds(world.repo, "main") == hashes(contents(folders["v1"]))


def test_a_release_lost_from_main_is_restored(published):
    world, folders = published("v3")
    world.hub.add("models", world.repo, contents(folders["v1"]) | ATTRIBUTES, "Withdraw v2")
    assert "latest: v3" in Hub().yank(world.repo, "v2", "wrong")
    assert world.reader.holds(world.repo, "main") == hashes(contents(folders["v3"]))
    assert marks(world.repo)["v3"] == "latest"


def test_reasons_are_kept_for_each_tag_and_can_be_read(published):
    world, _ = published("v3")
    Hub().yank(world.repo, "v1", "too old")
    Hub().yank(world.repo, "v2", "deaf\nto \x1b[31mnumbers")
    Hub().yank(world.repo, "v2", "another reason")
    assert marks(world.repo) == {"v3": "latest", "v2": "deaf to [31mnumbers", "v1": "too old"}
    assert world.reader.log(world.repo, "withdrawn") == ["Withdraw v2", "Withdraw v1"]
    assert world.reader.log(world.repo) == ["Publish v3", "Publish v2", "Publish v1"]


def test_a_foreign_reason_is_shown_in_one_line(published):
    world, _ = published()
    Hub().yank(world.repo, "v2", "wrong")
    theirs = {"withdrawn.json": b'{"v2": "deaf\\n\\u001b[2J | dumb"}'} | ATTRIBUTES
    commit = world.hub.add("models", world.repo, theirs, "Theirs")
    world.there.save(branches=world.there.branches | {"withdrawn": commit})
    assert marks(world.repo)["v2"] == "deaf [2J | dumb"


@pytest.mark.parametrize("told", [b"[1]", b"null", b"{", b'"v1"'])
def test_malformed_reasons_are_reported(published, told):
    world, _ = published()
    Hub().yank(world.repo, "v1", "too old")
    world.hub.add("models", world.repo, {"withdrawn.json": told} | ATTRIBUTES, "Theirs")
    repo = world.there
    repo.save(branches=repo.branches | {"withdrawn": repo.head})
    with pytest.raises(PublishError, match="is not a table of reasons"):
        Hub().history(world.repo)


def test_a_withdrawal_mark_cannot_be_withdrawn(published):
    world, _ = published()
    Hub().yank(world.repo, "v2", "wrong")
    with pytest.raises(MissingError, match="there is no tag withdrawn-v2; its tags: v1, v2"):
        Hub().yank(world.repo, "withdrawn-v2", "wrong")

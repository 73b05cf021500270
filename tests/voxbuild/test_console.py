"""Messages contain no token and no control characters, whatever their origin."""

import pytest
from doit.exceptions import TaskFailed
from hub_server import TOKEN, Refusal
from mishaps import Script
from projects import make_project
from publishers import attempt

from voxbuild.errors import PublishError
from voxbuild.publish.hub.target import Hub
from voxbuild.tasks import actions

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


@pytest.mark.parametrize("token", ["hf_sec\x0bret", "hf_sec ret", "hf_s\u00e9cret", "hf_\x1b[31m"])
def test_an_invalid_token_is_refused_without_printing_it(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PublishError) as caught:
        Hub()
    assert "holds characters that no token has" in str(caught.value)
    assert "hf_" not in str(caught.value)


@pytest.mark.parametrize("written", [str, repr, ascii, lambda token: repr(token.encode())])
def test_a_token_is_not_printed_in_any_form(monkeypatch, tmp_path, written):
    """At the seam, whatever the error is made of."""
    token = "hf_s\u00e9c\x0bret"
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.chdir(make_project(tmp_path / "project", clips=1))

    def fail():
        raise PublishError(f"Illegal header value {written(token)}\nand \x1b[2Jnothing")

    failed = actions.run(fail)
    assert isinstance(failed, TaskFailed)
    assert "<token>" in failed.get_msg()
    assert "hf_" not in failed.get_msg()
    assert failed.get_msg().strip().endswith("\nand  [2Jnothing")


def test_the_hubs_message_is_printed_in_one_line_without_the_token(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    release = world.release
    assert attempt(release)[0]
    Hub().yank(world.repo, "v2", f"deaf {TOKEN}\x1b]0;title\x07")
    assert Hub().history(world.repo)[0].withdrawn == "deaf <token> ]0;title"
    world.hub.rename(world.repo, f"{world.repo}-{TOKEN}")
    with pytest.raises(PublishError) as caught:
        Hub().published(release)
    assert "renamed to" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_control_characters_in_file_names_are_removed(new_world):
    world = new_world()
    world.hub.add("models", world.repo, {"a\x1b[2Jb": b"x"})
    with pytest.raises(PublishError, match=r"a \[2Jb at main has 1 bytes"):
        Hub().read(world.repo, "main", "a\x1b[2Jb", limit=0)


def wrong(answer):
    refusal = Refusal(200)
    refusal.body = answer
    return refusal


NO_ANSWERS = [None, [], {}, "text", 1, [None], {"branches": None}, {"id": None, "sha": None}]


@pytest.mark.slow
@pytest.mark.parametrize("answer", NO_ANSWERS, ids=str)
def test_after_a_wrong_answer_at_any_call_the_next_publish_succeeds(new_world, calls, answer):
    for number in {call: n for n, call in enumerate(calls)}.values():
        world = new_world()
        script = Script(world, lambda n, call, number=number: {"fail": wrong(answer)} if n == number else {})
        world.hub.faults = script
        attempt(world.release)
        world.hub.faults = Script(world)
        done, said = attempt(world.release)
        assert done, said


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=str)
@pytest.mark.parametrize(
    "ask", [Hub().history, lambda repo: Hub().yank(repo, "v1", "wrong")], ids=["history", "yank"]
)
def test_a_wrong_answer_to_a_reader_is_one_line(new_world, ask, answer):
    world = new_world()
    world.hub.faults = Script(world, lambda n, call: {"fail": wrong(answer)})
    with pytest.raises(PublishError) as caught:
        ask(world.repo)
    assert "\n" not in str(caught.value)

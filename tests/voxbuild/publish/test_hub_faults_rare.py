"""Faults at one particular call of a publish, or between two publishers."""

import pytest
from artifacts import contents
from fault_table import ROWS
from hub_server import TOKEN, Refusal, flipped, swapped, truncated
from mishaps import Outcome, Script, SlowAnswers, for_good, once, outcome, plain, play
from publishers import ATTRIBUTES, CARD, attempt, disconnect, hashes, release_of

from voxbuild.publish.hub import client, target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how the client uploads
]


@pytest.fixture
def at(new_world, calls):
    """Let it go wrong at the first call that begins like this, or ends so; the outcome."""

    def play_one(kind, call, act_at, said, world=None):
        number = next(n for n, name in enumerate(calls) if name.startswith(call) or name.endswith(call))
        found = outcome(world or new_world(), act_at(number))
        ROWS[kind] = {number + 1: found}
        assert said in found.said
        return found

    return play_one


@pytest.mark.parametrize(
    ("kind", "damage"), [("flipped", flipped), ("truncated", truncated), ("swapped", swapped(b"{}"))]
)
def test_a_file_that_comes_back_damaged_is_not_tagged(at, kind, damage):
    found = at(
        f"a file comes back {kind}",
        "README.md",
        lambda number: for_good(number, corrupt=damage),
        "README.md at COMMIT does not have the hash that the Hub lists",
    )
    assert found.rerun == "tag"


def test_a_wrong_sha256_from_lfs_is_not_tagged(at, new_world):
    world = new_world()

    def lie(script):
        world.hub.wrong_hash("model.safetensors")

    said = "commit COMMIT does not hold what was sent: model.safetensors"
    found = at(
        "LFS tells another sha256", "POST /REPO/commit", lambda n: once(n, before=lie), said, world=world
    )
    assert found.rerun == "tag"


def test_a_lasting_slow_answer_ends_the_publish(at, monkeypatch):
    monkeypatch.setattr(client, "WAITS", ())
    slow = SlowAnswers(monkeypatch)
    kind, call = "the answer is too slow, for good", "GET /REPO/refs"
    at(kind, call, lambda n: slow.at(for_good(n, slow=True)), "is too slow")


def test_a_server_that_never_answers_ends_the_publish(at, monkeypatch):
    def impatient(request, limit=client._limit):
        limit(request)
        if "/tree/" in request.url.path:
            request.extensions["timeout"]["read"] = 0.3

    monkeypatch.setattr(client, "_limit", impatient)
    disconnect()  # the next client has this limit
    monkeypatch.setattr(client, "WAITS", ())
    at("no answer at all", "GET /REPO/tree", lambda n: for_good(n, hang=True), "timed out")


@pytest.mark.parametrize("call", ["GET /REPO/refs", "GET /REPO/tree"])  # of which the client repeats one
def test_a_long_pause_is_not_waited_for(at, slept, call):
    busy = Refusal(429)
    busy.headers = {"Retry-After": "3600"}
    at(f"429, Retry-After: 3600 at {call}", call, lambda n: for_good(n, fail=busy), "to wait 3,600 seconds")
    assert 3600 not in slept


@pytest.mark.parametrize("call", ["PUT /lfs", "POST /REPO/commit"])
def test_the_disk_of_the_server_is_full(at, new_world, call):
    world = new_world()

    def fill(script):
        world.hub.quota = 0

    found = at(f"no room on the server at {call}", call, lambda n: once(n, before=fill), "507", world=world)
    assert "its storage is full" in found.said
    assert found.rerun == "commit and tag"


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_is_wrong(at, new_world, years):
    world = new_world()

    def turn(script):
        world.hub.skew = years * 365 * 86400

    at(
        f"the server's clock is {years:+} years off",
        "GET /REPO",
        lambda n: once(n, before=turn),
        "published",
        world,
    )
    assert [version.tag for version in target.Hub().history(world.repo)] == ["v2", "v1"]


THEIRS = {"theirs.md": b"theirs"}


def their_commit(world):
    world.whole["theirs"] = hashes(THEIRS)
    world.whole["v2 beside theirs"] = hashes(contents(world.release.folder) | THEIRS)
    return lambda script: world.hub.add("models", world.repo, THEIRS | ATTRIBUTES, "Theirs")


def test_a_foreign_commit_before_ours_is_not_overwritten(new_world, calls):
    world, kind = new_world(), "somebody else commits before us (then we after them)"
    number = calls.index("POST /REPO/commit/main")
    found = outcome(world, once(number, before=their_commit(world)))
    ROWS[kind] = {number + 1: found}
    assert found.seen == ("no v2", "no v2, main holds theirs")
    assert found.said == (
        "REPO: the Hub answers 412 to CALL (A commit has happened since. Please refresh and try again.);"
        " there was another commit at the same time: check it and publish again"
    )
    assert world.log() == ["Publish v2", "Theirs", "Publish v1"]


@pytest.mark.parametrize("call", ["GET /REPO/resolve/COMMIT/README.md", "POST /REPO/tag/COMMIT"])
def test_a_foreign_commit_after_ours_is_not_in_the_tag(new_world, calls, call):
    world = new_world()
    found = outcome(world, once(calls.index(call), before=their_commit(world)))
    ROWS.setdefault("somebody else commits after us", {})[calls.index(call) + 1] = found
    assert found.said == "published"
    assert world.log() == ["Theirs", "Publish v2", "Publish v1"]
    assert world.look() == "v2 holds v2, main holds theirs"


def test_a_lost_answer_and_a_foreign_commit_on_top(new_world, calls):
    world = new_world()
    number = calls.index("POST /REPO/commit/main")

    def act(n, call):
        if n == number + 1:
            their_commit(world)(None)
        return {"cut": "after"} if n == number else {}

    found = ROWS["the commit's answer is lost, and somebody else commits upon it"] = {}
    found[number + 1] = outcome(world, act, commits=2)
    assert "there was another commit at the same time" in found[number + 1].said


def test_two_publishers_of_one_release_make_one_commit(new_world, calls):
    for number in range(len(calls)):
        world = new_world()
        second = []
        act = once(number, before=lambda script, w=world, s=second: s.append(_meanwhile(w)))
        found = outcome(world, act)
        ROWS.setdefault("another publishes the same meanwhile", {})[number + 1] = found
        assert found.said == "published"
        assert second[0][0], second
        assert world.log() == ["Publish v2", "Publish v1"]


def _meanwhile(world):
    """Another publisher of the same release, from its beginning to its end, on the same server."""
    mine, world.hub.faults = world.hub.faults, Script(world)
    try:
        return attempt(world.release)
    finally:
        world.hub.faults = mine


def test_the_tag_is_created_by_another_publisher_meanwhile(new_world, calls):
    world = new_world()

    def take(script):
        repo = world.there
        repo.save(tags=repo.state["tags"] | {"v2": repo.state["tags"]["v1"]})

    world.hub.faults = Script(world, once(calls.index("POST /REPO/tag/COMMIT"), before=take))
    for _ in range(2):
        done, said = attempt(world.release)
        assert not done
        assert "the tag v2 holds another artifact" in said
    world.hub.faults.look()
    number = calls.index("POST /REPO/tag/COMMIT")
    ROWS["somebody else sets the tag, on something else"] = {
        number + 1: Outcome(plain(said, world), tuple(world.hub.faults.seen), "refused as well")
    }
    assert world.log() == ["Publish v2", "Publish v1"]
    assert world.look() == "v2 holds v1, main holds v2"


def test_a_tag_with_other_content_is_refused_before_anything_is_sent(new_world, tmp_path):
    world = new_world()
    assert attempt(world.release)[0]
    script = world.hub.faults = Script(world)
    done, said = attempt(release_of(tmp_path / "other", world.repo, b"other weights", "v2"))
    assert not done
    assert "the tag v2 holds another artifact" in said
    ROWS["the tag exists, with other content"] = {
        2: Outcome(plain(said, world), tuple(script.seen), "refused as well")
    }
    assert all(call.startswith("GET ") for call in script.calls)


def test_files_changed_after_the_check_are_not_sent(new_world):
    world = new_world()
    (world.release.folder / "README.md").write_bytes(CARD.replace(b"# A", b"# B"))
    script, done, said = play(world)
    assert not done
    assert "README.md: changed after it was checked" in said
    assert all(call.startswith("GET ") for call in script.calls)


def test_a_file_that_changes_during_the_upload_is_refused_by_its_hash(new_world, monkeypatch):
    monkeypatch.setattr(target, "SMALL", 1000)
    world = new_world()
    weights = world.release.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    _, done, said = play(world)
    assert not done
    assert "422" in said
    assert world.log() == ["Publish v1"]


def test_large_files_are_not_hashed_again(new_world, monkeypatch):
    monkeypatch.setattr(target, "SMALL", 1000)
    monkeypatch.setattr("huggingface_hub.lfs.sha_fileobj", None)
    _, done, said = play(new_world())
    assert done, said


def test_a_token_echoed_by_the_server_is_not_printed(new_world):
    world = new_world()
    for status in (400, 403, 500):
        echo = Refusal(status, message=f"authorization was Bearer {TOKEN}")
        _, done, said = play(world, lambda n, call, echo=echo: {"fail": echo})
        assert not done
        assert "Bearer <token>" in said


def test_no_file_holds_the_token(new_world, tmp_path, capfd):
    world = new_world()
    play(world, once(10, cut="after"))
    play(world)
    assert not [path for path, data in contents(tmp_path).items() if TOKEN.encode() in data]
    assert TOKEN not in "".join(capfd.readouterr())


@pytest.fixture
def settings(hubs, monkeypatch):
    """The server with small parts and pages."""
    monkeypatch.setattr(target, "SMALL", 1000)
    for name, value in {"multipart_threshold": 1000, "chunk_size": 2500, "page_size": 2}.items():
        monkeypatch.setattr(hubs[0], name, value)


def test_multipart_uploads_and_paged_listings_work(new_world, settings):
    world = new_world()
    script, done, said = play(world)
    assert done, said
    parts = [n for n, call in enumerate(script.calls) if call == "PUT /lfs/SHA256"]
    assert len(parts) > 1
    assert len([call for call in script.calls if "/tree/" in call]) > 3
    for number in parts[1:2]:
        for mishap in ({"cut": "within"}, {"cut": "after"}, {"fail": Refusal(500)}):
            found = outcome(new_world(), once(number, **mishap))
            assert found.said == "published"


def test_a_card_that_the_hub_rejects_is_reported_before_anything_is_sent(new_world, tmp_path):
    world = new_world()
    card = CARD.replace(b"mit", b"my-own")
    script = world.hub.faults = Script(world)
    done, said = attempt(release_of(tmp_path / "card", world.repo, b"weights" * 500, "v2", README=card))
    assert not done
    assert "Invalid metadata in README.md" in said
    assert script.calls[-1] == "POST /validate-yaml"
    assert not [call for call in script.calls if "/repos/create" in call or "/preupload/" in call]
    assert world.log() == ["Publish v1"]

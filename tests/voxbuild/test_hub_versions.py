"""What a Hub holds: files by their hashes, versions, what was withdrawn; branches and pull requests."""

import hashlib

import pytest
from artifacts import contents
from hub_server import Refusal, flipped
from mishaps import Script, for_good, once
from publishers import ATTRIBUTES, CARD, attempt, hashes, release_in, release_of

from voxbuild.errors import MissingError, PublishError
from voxbuild.hub import Hub
from voxbuild.manifest import SIGNATURE
from voxbuild.publish import Destination

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


@pytest.fixture
def published(new_world, tmp_path):
    """A repository with v1 and v2 and so many versions after them; their folders by their tags."""

    def publish(*more):
        world = new_world(new=True)
        world.hub.faults = Script(world)
        folders = {}
        for tag in ("v1", "v2", *more):
            release = release_of(
                tmp_path / f"{world.repo.replace('/', '-')}-{tag}", world.repo, tag.encode() * 500, tag
            )
            world.whole[tag] = hashes(contents(release.folder))
            done, said = attempt(release)
            assert done, said
            folders[tag] = release.folder
        return world, folders

    return publish


def marks(repo):
    """Tag -> what there is to say of it."""
    return {
        version.tag: "latest" if version.latest else version.withdrawn or ""
        for version in Hub().history(repo)
    }


def test_files_are_told_by_size_and_sha256(published):
    world, folders = published()
    for revision, tag in (("v1", "v1"), ("main", "v2")):
        entries = Hub().files(world.repo, revision)
        found = {name: (entry.size, entry.sha256) for name, entry in entries.items()}
        assert found == {
            name: (len(data), hashlib.sha256(data).hexdigest())
            for name, data in contents(folders[tag]).items()
        }


def test_a_release_that_was_signed_again_is_the_same_and_another_is_not(new_world, tmp_path):
    world = new_world()
    world.hub.faults = Script(world)
    release = signed(world.release, "one")
    world.whole["v2"] = hashes(contents(release.folder))
    assert attempt(release)[0]
    assert Hub().published(signed(release, "another"))
    weights = (release.folder / "model.safetensors").read_bytes()
    other = release_of(tmp_path / "other", world.repo, weights, "v2", README=CARD.replace(b"# A", b"# B"))
    with pytest.raises(PublishError, match="holds another artifact"):
        Hub().published(signed(other, "a third"))


def signed(release, signature):
    (release.folder / SIGNATURE).write_text(signature)
    return release_in(release.folder, release.repo, release.tag)


def test_a_file_is_read_whole_or_refused(published):
    world, folders = published()
    hub = Hub()
    card = (folders["v1"] / "README.md").read_bytes()
    assert hub.read(world.repo, "v1", "README.md", limit=len(card)) == card
    world.hub.faults = script = Script(world)
    with pytest.raises(PublishError, match="no more than"):
        hub.read(world.repo, "v1", "README.md", limit=len(card) - 1)
    assert not [call for call in script.calls if "/resolve/" in call]
    world.hub.faults = Script(world, lambda n, call: {"corrupt": flipped})
    with pytest.raises(PublishError, match="another hash"):
        hub.read(world.repo, "v1", "README.md")


@pytest.mark.parametrize(
    ("repo", "revision", "name"),
    [("someone/Nothing", "main", "a"), (None, "v9", "README.md"), (None, "v1", "nothing.md")],
)
def test_what_is_not_there_is_missing(published, repo, revision, name):
    world, _ = published()
    with pytest.raises(MissingError):
        Hub().read(repo or world.repo, revision, name)
    if name != "nothing.md":
        with pytest.raises(MissingError):
            Hub().files(repo or world.repo, revision)


def test_a_private_repository_is_not_there_for_others(published, monkeypatch):
    world, _ = published()
    world.hub.restrict(world.repo, private=True)
    assert Hub().files(world.repo, "v1")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(MissingError, match="log in"):
        Hub().files(world.repo, "v1")


def test_a_gated_repository_is_there(published, monkeypatch):
    world, _ = published()
    world.hub.restrict(world.repo, gated="manual")
    world.hub.add_token("hf_stranger", "stranger", "read", namespaces=[])
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(PublishError, match="403") as refused:
        Hub().read(world.repo, "v1", "README.md")
    assert not isinstance(refused.value, MissingError)


def test_the_history_is_that_of_the_commits_whatever_the_dates(published):
    world, _ = published("v3")
    world.hub.skew = -(10**9)
    try:
        assert attempt(
            release_of(world.release.folder.parent / "late", world.repo, b"late" * 500, "a-late-one")
        )[0]
    finally:
        world.hub.skew = 0
    assert list(marks(world.repo)) == ["a-late-one", "v3", "v2", "v1"]
    assert marks(world.repo)["a-late-one"] == "latest"


def test_a_withdrawn_tag_stays_and_main_goes_back(published):
    world, folders = published("v3")
    assert Hub().yank(world.repo, "v3", "wrong vocabulary") == (
        f"{world.repo}: v3 is withdrawn; the newest that is not: v2"
    )
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


def test_what_somebody_put_on_main_is_not_taken_back(published):
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


def test_what_is_not_there_cannot_be_withdrawn(published):
    world, _ = published()
    with pytest.raises(MissingError, match="there is no tag v9; there are: v1, v2"):
        Hub().yank(world.repo, "v9", "wrong")


def yank(world):
    try:
        return Hub().yank(world.repo, "v2", "wrong")
    except PublishError as error:
        return str(error)


@pytest.mark.parametrize(
    "act_at",
    [lambda n: once(n, cut="after"), lambda n: for_good(n, fail=Refusal(500))],
    ids=["cut after the answer", "500 for good"],
)
def test_a_withdrawal_that_goes_wrong_anywhere_is_ended_by_the_next(new_world, act_at):
    number, calls = 0, [""]
    while number < len(calls):
        world = new_world()
        world.put("v2", contents(world.release.folder))
        script = world.hub.faults = Script(world, act_at(number))
        yank(world)
        number, calls = number + 1, script.calls
        world.hub.faults = Script(world)
        assert "the newest that is not: v1" in yank(world)
        assert world.look() == "v2 holds v2"  # and main v1
        assert world.log() == ["Withdraw v2", "Publish v2", "Publish v1"]
        assert not [seen for seen in script.seen if "something else" in seen]


def test_a_branch_for_review_has_no_tag(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    for _ in range(2):
        done, said = attempt(world.release, Destination(branch="review/v2"))
        assert done, said
        assert said == f"{world.hub.url}/{world.repo}/tree/review/v2"
    assert world.reader.holds(world.repo, "review/v2") == hashes(contents(world.release.folder))
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


def test_a_pull_request_that_cannot_be_made_is_told(new_world):
    world = new_world()
    world.hub.faults = Script(world, lambda n, call: {"fail": Refusal(403)} if "/commit/" in call else {})
    done, said = attempt(world.release, Destination(pull_request=True))
    assert not done
    assert "403" in said
    assert not world.there.pulls

"""Reading from a Hub: files with their hashes, versions, withdrawals, branches and pull requests."""

import hashlib

import pytest
from artifacts import contents
from hub_server import flipped
from mishaps import Script
from publishers import CARD, attempt, hashes, marks, release_in, release_of

from voxbuild.artifact.manifest import SIGNATURE
from voxbuild.errors import MissingError, PublishError
from voxbuild.publish.hub.target import Hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


def test_files_are_listed_with_size_and_sha256(published):
    world, folders = published()
    for revision, tag in (("v1", "v1"), ("main", "v2")):
        entries = Hub().files(world.repo, revision)
        found = {name: (entry.size, entry.sha256) for name, entry in entries.items()}
        assert found == {
            name: (len(data), hashlib.sha256(data).hexdigest())
            for name, data in contents(folders[tag]).items()
        }


def test_a_release_signed_again_counts_as_the_same(new_world, tmp_path):
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


def test_a_signature_added_after_publishing_needs_another_tag(new_world):
    world = new_world()
    world.hub.faults = Script(world)
    unsigned = world.release
    assert attempt(unsigned)[0]
    state = world.state()
    release = signed(unsigned, "one")
    world.whole["v3"] = hashes(contents(release.folder))
    for publish in (Hub().published, Hub().publish):
        with pytest.raises(PublishError, match="the tag v2 holds this artifact unsigned"):
            publish(release)
    assert world.state() == state
    assert attempt(release_in(release.folder, release.repo, "v3"))[0]
    assert marks(world.repo) == {"v3": "latest", "v2": "", "v1": ""}
    Hub().yank(world.repo, "v3", "wrong key")
    assert world.look() == "v2 holds v2, main holds v2"  # the signature went, too
    assert marks(world.repo)["v2"] == "latest"


def signed(release, signature):
    (release.folder / SIGNATURE).write_text(signature)
    return release_in(release.folder, release.repo, release.tag)


def test_a_file_is_read_whole_or_refused(published):
    world, folders = published()
    hub = Hub()
    card = (folders["v1"] / "README.md").read_bytes()
    assert hub.read(world.repo, "v1", "README.md", limit=len(card)) == card
    world.hub.faults = script = Script(world)
    with pytest.raises(PublishError, match="more than 29"):
        hub.read(world.repo, "v1", "README.md", limit=len(card) - 1)
    assert not [call for call in script.calls if "/resolve/" in call]
    world.hub.faults = Script(world, lambda n, call: {"corrupt": flipped})
    with pytest.raises(PublishError, match="does not have the hash"):
        hub.read(world.repo, "v1", "README.md")


@pytest.mark.parametrize(
    ("repo", "revision", "name"),
    [("someone/Nothing", "main", "a"), (None, "v9", "README.md"), (None, "v1", "nothing.md")],
)
def test_a_missing_repository_tag_or_file_is_reported(published, repo, revision, name):
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


def test_the_history_follows_the_commits_not_the_dates(published):
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

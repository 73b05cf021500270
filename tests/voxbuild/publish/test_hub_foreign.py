"""A repository on the Hub in which others keep files: they stay there, unless they would be read as ours."""

import pytest
from artifacts import contents
from hub_server.faults import Faults
from publishers import attempt, hashes, release_of

from voxbuild.errors import PublishError
from voxbuild.publish.hub.target import Hub
from voxbuild.publish.target import Destination

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads

THEIRS = {
    "LICENSE": b"all rights reserved",
    "pytorch_model.bin": b"their weights" * 500,
    "readme.md": b"a case variant",
    "original/consolidated.safetensors": b"in a folder" * 500,
    "manifest.yaml": b"files: {}",
}
MAIN, PRUNE = Destination(), Destination(prune=True)


class Place:
    """A repository that others made, and releases of ours."""

    def __init__(self, world, folder, files):
        self.world, self.repo, self._folder, self._said = world, world.repo, folder, []
        world.hub.add("models", self.repo, files)
        world.hub.faults = Faults()

    def release(self, tag, **files):
        return release_of(self._folder / tag, self.repo, tag.encode() * 500, tag, **files)

    def publish(self, release, destination=MAIN):
        """Publish; what was said before anything was sent, after the line on the visibility."""
        self._said.clear()
        Hub().publish(release, destination, self._said.append)
        assert self._said.pop(0) == f"{self.repo}: an existing repository, public"
        return list(self._said)

    def holds(self, revision="main"):
        return self.world.reader.holds(self.repo, revision)


@pytest.fixture
def place(new_world, tmp_path):
    """Make a repository that holds these files."""
    return lambda files: Place(new_world(new=True), tmp_path / "ours", files)


def writes(world):
    """The calls that change something."""
    calls = [call for call in world.hub.calls if not call.startswith(("GET", "HEAD"))]
    return [call for call in calls if world.repo in call and "paths-info" not in call]


def test_files_of_others_outlast_every_publish_and_withdrawal(place):
    there = place(THEIRS | {"README.md": b"their card"})
    first, second = there.release("v1", extra=b"{}"), there.release("v2")
    theirs = hashes(THEIRS) | {
        "original/consolidated.safetensors": there.holds()["original/consolidated.safetensors"]
    }
    theirs["pytorch_model.bin"] = there.holds()["pytorch_model.bin"]

    (said,) = there.publish(first)
    listed = "LICENSE, manifest.yaml, original/consolidated.safetensors, pytorch_model.bin, readme.md"
    assert said == (
        f"{there.repo}: holds no release yet; kept, not of a release: {listed}; replaced: README.md"
    )
    assert there.holds() == there.holds("v1") == hashes(contents(first.folder)) | theirs

    assert there.publish(second) == []
    assert there.holds() == hashes(contents(second.folder)) | theirs  # extra.json is gone
    assert there.holds("v1") == hashes(contents(first.folder)) | theirs
    assert Hub().published(second)

    Hub().yank(there.repo, "v2", "wrong")
    assert there.holds() == hashes(contents(first.folder)) | theirs
    Hub().yank(there.repo, "v1", "wrong, too")
    assert there.holds() == theirs

    third = there.release("v3")
    (said,) = there.publish(third, PRUNE)
    assert said == f"{there.repo}: removed, not of a release: {listed}"
    assert there.holds() == hashes(contents(third.folder))
    assert there.holds("v1") == hashes(contents(first.folder)) | theirs


@pytest.mark.parametrize(
    "name",
    [
        "consolidated.safetensors",
        "Model.SafeTensors",
        "model-00001-of-00002.safetensors",
        "adapter_model.safetensors",
        "adapter_config.json",
        "params.json",
        "model.safetensors.index.json",
        "model.sig",
    ],
)
def test_a_file_that_would_be_read_as_ours_is_refused_before_anything_is_sent(place, name):
    there = place(THEIRS | {name: b"theirs"})
    before = there.world.state()
    done, said = attempt(there.release("v1"))
    assert not done
    assert said == (
        f"{there.repo}: not of a release of voxbuild, and would be read as a part of the model: {name};"
        " remove them there, or let --prune remove all files of others"
    )
    assert there.world.state() == before
    assert not writes(there.world)
    pruned = there.release("v2")
    there.publish(pruned, PRUNE)
    assert there.holds() == hashes(contents(pruned.folder))


def test_a_file_of_ours_that_somebody_changed_is_theirs(place):
    there = place({})
    first = there.release("v1", extra=b"{}")
    there.publish(first)
    theirs = {"extra.json": b"[]"}
    there.world.hub.add("models", there.repo, contents(first.folder) | theirs)
    second = there.release("v2")
    there.publish(second)
    assert there.holds() == hashes(contents(second.folder) | theirs)


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"files": {"LICENSE": {"size": 1}}}', b'{"files": {}}'])
def test_a_manifest_that_is_not_ours_makes_nothing_stale(place, manifest):
    there = place({"LICENSE": b"x", "manifest.json": manifest})
    release = there.release("v1")
    (said,) = there.publish(release)
    assert said.endswith("kept, not of a release: LICENSE; replaced: manifest.json")
    assert there.holds() == hashes(contents(release.folder) | {"LICENSE": b"x"})


def test_reviews_keep_files_of_others_too(place):
    there = place(THEIRS)
    release = there.release("v1")
    there.publish(release, Destination(branch="trial"))
    assert there.holds("trial").keys() == contents(release.folder).keys() | THEIRS.keys()
    there.publish(release, Destination(pull_request=True))
    there.world.hub.merge(there.repo, 1)
    assert there.holds().keys() == contents(release.folder).keys() | THEIRS.keys()


def test_withdrawing_the_only_release_leaves_a_tag_of_others_alone(place):
    there = place(THEIRS)
    repo = there.world.there
    repo.save(tags={"1.0": {"commit": repo.head, "message": None}})
    before = there.holds()
    there.publish(there.release("v1"))
    assert Hub().yank(there.repo, "v1", "wrong").endswith("v1 is withdrawn; latest: none")
    assert there.holds() == there.holds("1.0") == before


def test_a_file_that_comes_during_a_publish_and_would_be_read_is_not_tagged(place):
    there = place(THEIRS)
    release, world = there.release("v1"), there.world

    def add():
        world.hub.add("models", there.repo, THEIRS | {"consolidated.safetensors": b"theirs"})

    world.hub.before("POST .*/preupload/", add)
    with pytest.raises(PublishError, match="another commit at the same time"):
        there.publish(release)
    assert not world.reader.tags(there.repo)
    world.hub.faults = Faults()
    assert "would be read as a part of the model: consolidated.safetensors" in attempt(release)[1]


def test_a_tag_that_holds_more_than_the_release_is_another_artifact(place):
    there = place({})
    release = there.release("v1")
    there.publish(release)
    there.world.hub.add("models", there.repo, contents(release.folder) | {"params.json": b"{}"})
    repo = there.world.there
    repo.save(tags={"v1": {"commit": repo.head, "message": None}})
    with pytest.raises(PublishError, match="the tag v1 holds another artifact"):
        Hub().published(release)


def test_withdrawing_all_tags_leaves_a_release_alone_that_has_no_tag_yet(place):
    there = place(THEIRS)
    there.publish(there.release("v1"))
    there.world.hub.fail("POST .*/tag/", 500)
    assert not attempt(there.release("v2"))[0]
    there.world.hub.faults = Faults()
    before = there.holds()
    Hub().yank(there.repo, "v1", "wrong")
    assert there.holds() == before

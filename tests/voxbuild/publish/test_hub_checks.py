"""What is checked before a repository is created or anything is sent: rights, visibility, the card."""

from dataclasses import replace

import pytest
from hub_server import TOKEN
from hub_server.faults import Faults
from publishers import CARD, attempt, release_of

from voxbuild.artifact.variant import Variant
from voxbuild.errors import PublishError
from voxbuild.publish.hub.target import Hub
from voxbuild.publish.target import Destination
from voxbuild.publish.upload import must_be_public
from voxbuild.recipes.book import read_book
from voxbuild.recipes.origins.hub import HubFiles
from voxbuild.recipes.source import Adapter
from voxbuild.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads
REQUEST = Destination(pull_request=True)


@pytest.fixture
def world(new_world):
    """No repository, and a release that is to be published."""
    world = new_world(new=True)
    world.hub.faults = Faults()
    world.hub.calls.clear()
    return world


@pytest.fixture
def login(world, monkeypatch):
    """Use another token."""

    def act(*about, **more):
        world.hub.add_token("hf_another", *about, **more)
        monkeypatch.setenv("HF_TOKEN", "hf_another")

    yield act
    world.hub.tokens = {TOKEN: world.hub.tokens[TOKEN]}


def refused(world, release=None, *destination):
    """The reason; nothing was created or sent."""
    state, release = world.state(), release or world.release
    done, said = attempt(release, *destination)
    assert not done
    assert world.state() == state
    harmless = ("GET ", "HEAD ", "POST /api/validate-yaml")
    assert [call for call in world.hub.calls if not call.startswith(harmless)] == []
    with pytest.raises(PublishError) as dry:
        Hub().check(release, *destination)
    assert str(dry.value) == said
    return said


def test_a_token_that_only_reads_is_refused(world, login):
    login("someone", role="read")
    assert refused(world) == (
        f"{world.repo}: the token of someone may only read; make one that may write and log in with"
        " `hf auth login`, or set HF_TOKEN"
    )


def test_a_namespace_of_others_is_refused(world, login):
    login("me", namespaces=["lab", "team"])
    assert refused(world) == (
        f"{world.repo}: me is not a member of someone, only of lab, team; choose another owner with"
        " repo=OWNER/NAME, or publish.repo in the recipe"
    )


def test_the_own_namespace_and_those_of_organisations_are_accepted(world, login):
    for name, more in (("Someone", {"namespaces": ["someone"]}), ("me", {"namespaces": ["someone"]})):
        login(name, **more)
        assert Hub().check(world.release) == [f"{world.repo}: a new repository, public"]


def test_others_may_open_a_pull_request(world, login):
    world.hub.add("models", world.repo, {})
    login("me", namespaces=[])
    assert Hub().check(world.release, REQUEST) == [f"{world.repo}: an existing repository, public"]
    assert "not a member of someone, only of no organisation" in refused(world)


def test_a_fine_grained_token_is_refused_only_by_the_hub(world, login):
    login("me", role="fineGrained", scopes=(("someone", "repo.content.read"),))
    doubt, _ = Hub().check(world.release)
    assert doubt == (
        f"{world.repo}: the token is fine-grained, and does not name someone; the Hub may refuse it"
    )
    for name in ("someone", world.repo):
        login("me", role="fineGrained", scopes=((name, "repo.write"),))
        assert Hub().check(world.release) == [f"{world.repo}: a new repository, public"]


def private(world):
    """The release, which must not be public."""
    return replace(world.release, private=True)


def test_a_private_release_makes_a_private_repository(world):
    assert Hub().check(private(world)) == [f"{world.repo}: a new repository, private"]
    assert attempt(private(world))[0]
    assert world.there.settings["private"]
    assert attempt(private(world))[0], "again"


def test_a_public_release_makes_a_public_repository(world):
    assert attempt(world.release)[0]
    assert not world.there.settings["private"]


def test_a_private_release_is_not_published_publicly(world):
    world.hub.add("models", world.repo, {})
    said = refused(world, private(world))
    assert said == (
        f"{world.repo}: the repository is public, but the recipe or its source says `private: true`; make it"
        " private on the Hub, choose another with repo=OWNER/NAME, or say private=no"
    )
    assert refused(world, private(world), Destination(branch="trial")) == said
    assert refused(world, private(world), REQUEST) == said


def test_a_repository_that_becomes_public_meanwhile_gets_nothing(world):
    world.hub.add("models", world.repo, {})
    world.hub.restrict(world.repo, private=True)
    world.hub.before("GET .*/whoami-v2", lambda: world.hub.restrict(world.repo, private=False))
    done, said = attempt(private(world))
    assert not done
    assert "the repository is public" in said
    assert world.log() == ["Add"]


def test_the_visibility_of_a_repository_is_never_changed(world):
    world.hub.add("models", world.repo, {})
    world.hub.restrict(world.repo, private=True)
    assert Hub().check(world.release) == [f"{world.repo}: an existing repository, private"]
    assert attempt(world.release)[0]
    assert world.there.settings["private"]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (b"license: unknown", "the licence is unknown; give license=ID, or `license:` in the source"),
        (
            b"license: my-own",
            'Invalid metadata in README.md. - "license" with value "my-own"',
        ),
        (b"language: [en, English]", '"language[1]" with value "English"'),
        (b"base_model: /home/me/model", '"base_model" with value "/home/me/model" is not valid'),
        (b"tags: voxrun", '"tags" must be an array'),
    ],
)
def test_metadata_that_the_hub_refuses_creates_no_repository(world, tmp_path, card, said):
    release = release_of(
        tmp_path / "card", world.repo, b"weights", "v2", README=CARD.replace(b"license: mit", card)
    )
    assert said in refused(world, release)
    assert world.there is None


def test_a_branch_that_has_the_name_of_the_tag_creates_no_repository(world):
    said = refused(world, world.release, Destination(branch="v2"))
    assert said == f"{world.repo}: v2 is the name of a tag; choose another with branch=NAME"
    assert world.there is None


def test_a_link_to_a_licence_that_is_not_there_is_said(world, tmp_path):
    own = b"license: other\nlicense_name: own\nlicense_link: LICENSE"
    card = CARD.replace(b"license: mit", own)
    release = release_of(tmp_path / "card", world.repo, b"weights", "v2", README=card)
    absent = f"{world.repo}: license_link names LICENSE, which is not there; add it, or give a URL"
    assert absent in Hub().check(release)
    world.hub.add("models", world.repo, {"LICENSE": b"mine"})
    assert absent not in Hub().check(release)


def test_an_account_that_only_reads_in_an_organisation_is_refused(world, login):
    login("me", namespaces=["someone"], in_organisations={"roleInOrg": "read"})
    assert refused(world) == (
        f"{world.repo}: me may only read in someone; an administrator there can change that"
    )
    login("me", namespaces=["someone"], in_organisations={"roleInOrg": "read", "isEnterprise": True})
    doubt, _ = Hub().check(world.release)
    assert doubt == (
        f"{world.repo}: me may only read in someone, but for its resource groups; the Hub may refuse it"
    )


SOURCE = "someone/a-fine-tune"


@pytest.mark.parametrize("kind", ["private", "gated"])
def test_what_is_made_from_a_private_source_is_not_public_unasked(world, kind):
    if f"models/{SOURCE}" not in world.hub.repos:
        world.hub.add("models", SOURCE, {})
    world.hub.restrict(SOURCE, private=False, gated=False)
    made = replace(world.release, made_from=(SOURCE,))
    assert Hub().check(made) == [f"{world.repo}: a new repository, public"]
    world.hub.restrict(SOURCE, **{kind: True if kind == "private" else "auto"})
    assert refused(world, made) == (
        f"{world.repo}: made from {SOURCE}, which is {kind}; publish it privately with private=yes, or"
        " publicly with private=no (`publish.private` in the recipe)"
    )


def test_a_source_that_the_hub_does_not_show_is_mentioned(world):
    made = replace(world.release, made_from=("someone/nothing",))
    assert (
        Hub()
        .check(made)[0]
        .endswith("shows no someone/nothing, from which it was made, so it may be private")
    )


@pytest.mark.parametrize(("private", "asked"), [(None, (SOURCE, "someone/a-lora")), (True, ()), (False, ())])
def test_the_sources_are_looked_at_unless_the_recipe_says_who_sees_it(root, tmp_path, private, asked):
    book = read_book(root / "recipes")
    pinned = {"revision": "0" * 40}
    source = book.source("voxtral-mini-4b-realtime-2602").model_copy(
        update={
            "hub": HubFiles(repo=SOURCE, **pinned),
            "adapter": Adapter(hub=HubFiles(repo="someone/a-lora", **pinned)),
        }
    )
    recipe = book.recipe("4bit")
    publishing = recipe.publish.model_copy(update={"private": private})
    variant = Variant(Workspace(tmp_path), book, source, recipe.model_copy(update={"publish": publishing}))
    assert must_be_public(variant) == asked

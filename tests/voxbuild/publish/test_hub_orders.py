"""`doit publish` and `doit verify` with target=hub, called as their tasks call them."""

import pytest
import yaml
from artifacts import contents
from hub_server.faults import Faults
from projects import edit
from releases import REPO, book_of, make_releasable, put_artifact

from voxbuild.errors import DifferenceError, PublishError
from voxbuild.publish.order import Order
from voxbuild.publish.upload import publish
from voxbuild.publish.verify import verify

pytestmark = [
    pytest.mark.usefixtures("slept"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how the client uploads
]
THEIRS = {"LICENSE": b"theirs", "pytorch_model.bin": b"their weights" * 500}


@pytest.fixture
def hub(hubs):
    """A Hub without the repository."""
    hub = hubs[0]
    if f"models/{REPO}" in hub.repos:
        hub.delete(REPO)
    hub.faults = Faults()
    hub.calls.clear()
    return hub


@pytest.fixture
def work(hub, tmp_path):
    """A project that can be published."""
    return make_releasable(tmp_path / "project")


@pytest.fixture
def run(work, capsys):
    """Publish; what is printed, or the reason why not."""

    def act(tag="v1", target="hub", **options):
        capsys.readouterr()
        try:
            publish(work, book_of(work), Order("4bit", target=target, tag=tag), **options)
        except PublishError as error:
            return f"{capsys.readouterr().out}!! {error}"
        return capsys.readouterr().out

    return act


def rows(text):
    """File -> what becomes of it, by the table of a dry run."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {
        row[1]: row[0]
        for row in cells
        if len(row) == 4 and row[0] in ("add", "same", "replace", "keep", "remove")
    }


def test_a_dry_run_tells_of_the_visibility_and_creates_nothing(hub, work, run):
    assert f"nothing was sent\n{REPO}: a new repository, public\n" in run(dry_run=True)
    change_source(work, private=True)
    assert f"nothing was sent\n{REPO}: a new repository, private\n" in run(dry_run=True)
    assert not [name for name in hub.repos if REPO in name]


def test_a_dry_run_and_a_publish_tell_what_lies_there(hub, work, run):
    hub.add("models", REPO, THEIRS | {"README.md": b"their card"})
    kept = "holds no release yet; kept, not of a release: LICENSE, pytorch_model.bin; replaced: README.md\n"
    told = run(dry_run=True)
    assert kept in told
    assert rows(told) == dict.fromkeys(contents(work.artifact("tiny", "4bit")), "add") | {
        "README.md": "replace",
        "LICENSE": "keep",
        "pytorch_model.bin": "keep",
    }
    removed = f"{REPO}: removed, not of a release: LICENSE, pytorch_model.bin\n"
    told = run(dry_run=True, prune=True)
    assert removed in told
    assert rows(told)["LICENSE"] == rows(told)["pytorch_model.bin"] == "remove"
    assert hub.content(REPO).keys() == THEIRS.keys() | {"README.md"}

    told = run()
    assert told.index(kept) < told.index("published http")
    put_artifact(work, b"other weights")
    assert removed not in run("v2")
    put_artifact(work, b"more weights")
    assert rows(run("v3", dry_run=True))["LICENSE"] == "keep"
    told = run("v3", prune=True)
    assert told.index(removed) < told.index("published http")
    assert (
        hub.content(REPO, "v3").keys() - {".gitattributes"} == contents(work.artifact("tiny", "4bit")).keys()
    )
    assert THEIRS.items() <= hub.content(REPO, "v2").items()


def test_verifying_names_files_of_others_and_refuses_those_that_would_be_read(hub, work, run, capsys):
    hub.add("models", REPO, THEIRS)
    run()
    verify(work, book_of(work), Order("4bit", target="hub", tag="v1"))
    told = capsys.readouterr().out
    assert "   2 files that are not of this release: LICENSE, pytorch_model.bin\n" in told
    assert "   all 6 files match the manifest" in told
    assert "!!" not in told
    changed = hub.content(REPO) | {"consolidated.safetensors": b"theirs"}
    repo = hub.repos[f"models/{REPO}"]
    repo.save(tags={"v2": {"commit": hub.add("models", REPO, changed), "message": None}})
    with pytest.raises(DifferenceError):
        verify(work, book_of(work), Order("4bit", target="hub", tag="v2"))
    assert "!! consolidated.safetensors is not in the manifest\n" in capsys.readouterr().out


def test_pruning_is_for_the_hub(run):
    assert run(target=None, prune=True) == (
        "!! target=registry holds no files of others; --prune is for target=hub"
    )


def change_source(work, **changes):
    """Change the YAML of the source, and build again."""
    path = work.recipes / "sources/tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))
    put_artifact(work)


def change_recipe(work, private):
    """Say in the recipe whether its repositories are private, and build again."""
    edit(work.recipes / "4bit.yaml", "publish:\n", f"publish:\n  private: {private}\n")
    put_artifact(work)


def test_a_private_recipe_or_source_makes_a_private_repository(hub, work, run):
    change_recipe(work, "true")
    assert f"{REPO}: a new repository, private\n" in run()
    assert hub.repos[f"models/{REPO}"].settings["private"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_private_source_is_public_only_if_the_recipe_says_so(hub, work, run, exists):
    if exists:
        hub.add("models", REPO, {})
    change_source(work, private=True)
    if exists:
        assert "!! someone/Voxtral-Tiny-Prompts-4bit: the repository is public, but" in run()
        assert hub.content(REPO) == {}
    change_recipe(work, "false")
    assert "published http" in run()
    assert not hub.repos[f"models/{REPO}"].settings["private"]

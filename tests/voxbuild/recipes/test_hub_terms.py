"""What the Hub would refuse at the end of a publish is refused when the YAML is read."""

import pytest
import yaml
from hub_server import cards
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from projects import RANDOM, RECIPE, make_project

from voxbuild.errors import RecipeError
from voxbuild.recipes.book import read_book
from voxbuild.recipes.hub_terms import LANGUAGES, LICENSES, check_repo


@pytest.fixture
def read(tmp_path):
    """Read a project in which the source or the recipe has these keys."""

    def act(recipe=(), **source):
        folder = make_project(tmp_path / "project", recipes=(), clips=1)
        source = yaml.safe_load(RANDOM) | source
        (folder / "recipes/sources/tiny.yaml").write_text(yaml.safe_dump(source))
        about = yaml.safe_load(RECIPE.format(name="4bit", bits=4))
        about["publish"] |= dict(recipe)
        (folder / "recipes/4bit.yaml").write_text(yaml.safe_dump(about))
        read_book.cache_clear()
        return read_book(folder / "recipes")

    return act


def test_the_tables_are_those_of_the_tests_server():
    assert set(LICENSES) == set(cards.LICENSES)
    assert set(LANGUAGES) == set(cards.ISO_639_1)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"license": "Apache 2.0"}, "license: not a licence id of the Hub (did you mean apache-2.0?)"),
        ({"license": "my-own"}, "say `other` with license_name and license_link"),
        ({"license": "other"}, "license: `other` needs license_name and license_link"),
        ({"license": "other", "license_name": "x"}, "license: `other` needs license_name and license_link"),
        ({"languages": ["en", "English"]}, "languages.1: not a language code"),
        ({"languages": ["en-US"]}, "languages.0: not a language code"),
        ({"base_model": "voxtral"}, "base_model: voxtral cannot be a repository"),
        ({"base_model": "/home/me/model"}, "cannot be a repository"),
        ({"base_model": "me/a--b"}, "cannot be a repository"),
        ({"model": "x" * 92}, "cannot be a repository"),
        ({"recipe": {"repo": "me/{model}.git"}}, "me/Random.git cannot be a repository"),
        ({"recipe": {"repo": "-me/{model}-{recipe}"}}, "-me/Random-4bit cannot be a repository"),
        ({"recipe": {"tag": "v1..2"}}, "publish.tag: 'v1..2' is not a valid tag"),
        ({"recipe": {"tag": "main"}}, "readers would take it for main"),
        ({"recipe": {"private": "yes"}}, "publish.private"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_when_it_is_read(read, keys, said):
    with pytest.raises(RecipeError) as error:
        read(**keys)
    assert said in str(error.value)
    assert ".yaml:" in str(error.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"license": "other", "license_name": "my-own", "license_link": "LICENSE"},
        {"license": "unknown"},
        {"languages": ["en", "yue", "multilingual"]},
        {"base_model": "me/My_Model.v1"},
        {"recipe": {"repo": "me/{model}.{recipe}", "private": True}},
    ],
)
def test_what_the_hub_accepts_is_accepted(read, keys):
    assert read(**keys)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a/b",
            "A/b_",
            "_a/b",
            "a/b.c-d",
            "a/" + "b" * 96,
            "a/" + "b" * 97,
            "a" * 97 + "/b",
            "a/b.gi",
            "a/b.git",
        ),
        *("a/.b", "a/b.", "a/-b", "a/b-", "a--b/c", "a/b..c", "a/b c", "a", "a/b/c", "/a", "a/", "", "a/b\n"),
    ],
)
def test_names_of_repositories_are_checked_as_the_client_does(name):
    try:
        validate_repo_id(name)
        valid = "/" in name
    except HFValidationError:
        valid = False
    if valid:
        assert check_repo(name) == name
    else:
        with pytest.raises(ValueError, match="cannot be a repository"):
            check_repo(name)


@pytest.mark.parametrize(
    ("recipe", "source", "private"),
    [
        (None, False, False),
        (None, True, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_the_recipe_says_whether_a_repository_is_private_or_else_the_source(read, recipe, source, private):
    about = {} if recipe is None else {"private": recipe}
    book = read(recipe=about, private=source)
    assert book.private(book.source("tiny"), book.recipe("4bit")) is private

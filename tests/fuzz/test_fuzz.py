"""Any untrusted file gives a valid object or exactly our error, in one sentence."""

import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from parsers import ACCEPTED, CORPUS, PARSERS, corpus, folder_of, outcomes

EACH = pytest.mark.parametrize("name", PARSERS)
KEPT = [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in sorted(CORPUS.glob("*/*"))]


@pytest.fixture(scope="module")
def folders():
    """A folder for each parser."""
    made = {name: folder_of(parser) for name, parser in PARSERS.items()}
    yield made
    for folder in made.values():
        shutil.rmtree(folder)


@pytest.mark.parametrize("path", KEPT)
def test_corpus_files_are_accepted_or_refused_as_their_names_say(folders, path):
    name = path.parent.name
    said = outcomes(PARSERS[name], path.read_bytes(), folders[name])
    assert (ACCEPTED in said) == path.name.startswith("valid")


def test_each_parser_has_its_corpus():
    assert {path.name for path in CORPUS.iterdir()} == PARSERS.keys()


@pytest.mark.slow
@EACH
@settings(max_examples=120)
@given(data=st.data())
def test_changed_files_are_accepted_or_refused(folders, name, data):
    seed = data.draw(st.sampled_from(corpus(name)))
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    outcomes(PARSERS[name], mutated(name, seed.read_bytes(), chance), folders[name])


@EACH
@settings(max_examples=60)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_accepted_or_refused(folders, name, content):
    outcomes(PARSERS[name], content, folders[name])

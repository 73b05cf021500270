"""What `doit plan` says of a found source."""

from dataclasses import replace

import pytest

from voxbuild.plan.finding import finding, finding_text
from voxbuild.recipes.book import read_book
from voxbuild.recipes.source import Adapter
from voxbuild.sources.found.kept import TRAINED_OVER, Found
from voxbuild.sources.header import Header

UPSTREAM = "mistralai/Voxtral-Mini-4B-Realtime-2602"


@pytest.mark.parametrize(
    ("over", "doubted"), [(UPSTREAM, False), ("someone/another", True), ("runs/checkpoint/5", False)]
)
def test_an_adapter_of_another_model_is_pointed_out(root, over, doubted):
    book = read_book(root / "recipes")
    source = book.source("voxtral-mini-4b-realtime-2602")
    adapted = source.model_copy(update={"adapter": Adapter.model_validate({"path": "lora"})})
    found = Found(adapted, source.name, "lora", {"adapter": f"{TRAINED_OVER}{over}"})
    header = Header((), {}, False, 0)
    said = finding(found, book.recipe("4bit"), header, {})
    assert bool(said["doubts"]) == doubted
    assert (f"to check: the adapter was trained over {over}" in finding_text(said)) == doubted
    plain = finding(replace(found, source=source), book.recipe("4bit"), header, {})
    assert not plain["doubts"]

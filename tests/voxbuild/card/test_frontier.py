"""Size against KL: which variants are the best of their size, and how the picture shows them."""

import re

from matplotlib.figure import Figure

from voxbuild.card.frontier import Point, best, draw, draw_panel
from voxbuild.card.labels import OTHER, OWN

POINTS = [
    Point("bf16", 8_130_000, 0.0),
    Point("8bit", 4_540_000, 0.00002),
    Point("mixed", 3_020_000, 0.0017),
    Point("4bit", 2_616_000, 0.0045),
    Point("4bit-gptq", 2_616_400, 0.001),
    Point("3bit", 2_140_000, 0.03),
]


def test_the_best_are_those_that_none_is_smaller_and_nearer_than():
    assert [point.name for point in best(POINTS)] == ["3bit", "4bit-gptq", "8bit"]
    assert best([]) == best(POINTS[:1]) == []


def test_unquantized_weights_stand_at_the_bottom_and_highlights_are_as_asked_for():
    axes = Figure().add_subplot()
    dots = {dot.label: dot for dot in draw_panel(axes, POINTS, ["4bit-gptq"])}
    assert dots.keys() == {"bf16 (0)", "8bit", "mixed", "4bit", "4bit-gptq", "3bit"}
    assert [label for label, dot in dots.items() if dot.beyond] == ["bf16 (0)"]
    assert dots["bf16 (0)"].height == axes.get_ylim()[0] < dots["8bit"].height == 0.00002
    marks = [line for line in axes.lines if line.get_marker() in ("o", "v")]
    assert sorted(mark.get_color() for mark in marks) == sorted([OWN, *[OTHER] * 5])
    (line,) = (line for line in axes.lines if line.get_marker() == "None")
    assert list(line.get_ydata()) == [0.03, 0.001, 0.00002]


def test_equal_points_give_an_equal_picture_without_a_date():
    content = draw(POINTS, ["4bit"])
    assert content == draw(POINTS, ["4bit"])
    assert not re.search(rb"20\d\d-\d\d|dc:date", content)

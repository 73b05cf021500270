"""The plot of a card: equal bytes for equal variants, and readable labels."""

import io
import itertools
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from cards import make_sibling
from PIL import Image

from voxbuild.card.labels import GROUND, OTHER, OWN
from voxbuild.card.plot import DPI, SIZE, draw, make_dots, make_figure, make_frame
from voxbuild.card.siblings import read_record

MANY = [
    make_sibling("bf16", 8.13, 8.36),
    make_sibling("fp16", 8.129, 8.36),
    make_sibling("8bit", 4.54, 7.62),
    make_sibling("mxfp8", 4.43, 8.36),
    make_sibling("6bit", 3.58, 8.36),
    make_sibling("5bit", 3.10, 8.36),
    make_sibling("mixed-4-6", 3.02, 8.74),
    make_sibling("nvfp4", 2.64, 8.18),
    make_sibling("mxfp4", 2.53, 8.74),
    make_sibling("4bit-mse", 2.62, 8.74),
    make_sibling("4bit-search", 2.62, 8.74),
    make_sibling("4bit", 2.62, 9.67),
    make_sibling("4bit-mlx-audio", 2.65, 9.67),
    make_sibling("3bit-search", 2.14, 10.04),
    make_sibling("3bit", 2.14, 8.18),
]
BROKEN = make_sibling("2bit", 1.66, 127.32)


KL = (0, 0, 2e-5, 2e-4, 4e-4, 1e-3, 2e-3, 3e-3, 0.011, 0.004, 3e-3, 0.005, 0.005, 0.017, 0.031)
WITH_KL = [sibling.model_copy(update={"kl_mean": kl}) for sibling, kl in zip(MANY, KL, strict=True)]


def labels_of(figure, panel=0):
    return figure.axes[panel].texts


@pytest.mark.slow
def test_equal_variants_give_equal_bytes_in_any_process():
    here = Path(__file__).parent
    program = f"import sys; sys.path[:0] = {[str(here), str(here.parent)]!r}; import test_plot as t; " + (
        "sys.stdout.buffer.write(t.draw(t.MANY, '4bit'))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo"}
    other = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert other.stdout == draw(MANY, "4bit")


def test_a_users_matplotlib_settings_change_nothing(monkeypatch):
    import matplotlib

    before = draw(MANY, "4bit")
    with matplotlib.rc_context(
        {"font.size": 20, "savefig.dpi": 40, "lines.linewidth": 9, "text.color": "red"}
    ):
        assert draw(MANY, "4bit") == before


def test_it_is_an_opaque_png_without_date_or_program():
    content = draw(MANY, "4bit")
    chunks, place = [], 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append(content[place + 4 : place + 8])
        place += 12 + length
    assert set(chunks) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    image = Image.open(io.BytesIO(content))
    assert image.size == (SIZE[0] * DPI, SIZE[1] * DPI)
    assert image.convert("RGBA").getextrema()[3] == (255, 255), "a dark page would shine through"
    assert bytes(image.convert("RGB").getpixel((2, 2))).hex() == GROUND[1:]


@pytest.mark.parametrize("siblings", [MANY, [*MANY, BROKEN], WITH_KL, MANY[:2], MANY[-2:]], ids=len)
def test_no_label_overlaps_another_or_leaves_the_frame(siblings):
    for own in (siblings[0].recipe, siblings[-1].recipe):
        figure = make_figure(siblings, own)
        assert len(figure.axes) == (2 if siblings is WITH_KL else 1)
        for panel in figure.axes:
            boxes, frame = [label.get_window_extent() for label in panel.texts], panel.bbox
            assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
            assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 <= frame.y1 for b in boxes)


@pytest.mark.slow
def test_the_labels_of_the_published_variants_can_be_read(root):
    siblings = [s for s in read_record(root / "model_cards/siblings/tiny.json") if s.dialect is None]
    assert len(siblings) > 10
    for own in siblings:
        boxes = [label.get_window_extent() for label in labels_of(make_figure(siblings, own.recipe))]
        assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_every_variant_is_named_once_and_the_cards_own_is_marked():
    figure = make_figure(MANY, "4bit-mse")
    said = [name for label in labels_of(figure) for name in label.get_text().split(", ")]
    assert sorted(said) == sorted(s.recipe for s in MANY)
    assert "bf16, fp16" in [label.get_text() for label in labels_of(figure)], "they are one dot"
    (own,) = [label for label in labels_of(figure) if label.get_fontweight() == "bold"]
    assert own.get_text() == "4bit-mse", "though 4bit-search is of the same size and WER"
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert sorted({dot.get_color() for dot in dots}) == sorted({OWN, OTHER})
    assert [dot.get_color() for dot in dots].count(OWN) == 1


def test_an_outlier_is_labelled_and_does_not_flatten_the_others():
    frame = make_frame([*MANY, BROKEN])
    assert (frame.bottom, frame.top) == (make_frame(MANY).bottom, make_frame(MANY).top)
    assert frame.top < 12
    assert frame.cuts
    assert not make_frame(MANY).cuts
    dots = make_dots([*MANY, BROKEN], "4bit", frame)
    (broken,) = [dot for dot in dots if dot.beyond]
    assert broken.label == "2bit (127.3 %)"
    assert broken.height == frame.top
    title = make_figure([*MANY, BROKEN], "4bit").axes[0].get_title(loc="right")
    assert title == f"▲ beyond the frame, which ends at {frame.top:.1f} %"
    assert make_figure(MANY, "4bit").axes[0].get_title(loc="right") == ""


def test_variants_without_errors_are_shown_beside_those_with_few():
    frame = make_frame([make_sibling("a", 1, 0.0), make_sibling("b", 2, 0.0), make_sibling("c", 3, 1.5)])
    assert not frame.cuts
    assert frame.bottom == 0

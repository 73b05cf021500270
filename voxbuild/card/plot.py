"""The plot of a model card: size against WER, and against KL, of all variants, with 95 % intervals.

Equal variants and the same matplotlib give equal bytes: it holds no date and uses no user settings. The
background is opaque and light, to be readable in a light or dark theme.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from . import frontier
from .frontier import Point
from .labels import GROUND, INK, Dot, draw_dots, size_axis, style, write_labels
from .siblings import Sibling

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (8.0, 4.5)
"""Inches."""
DPI = 150
OUTLIER = 2.0, 5.0
"""A variant is an outlier if its WER is above the median times the first, plus the second (in points)."""


@dataclass(frozen=True)
class Frame:
    """The limits of the axes."""

    left: float
    right: float
    """MB."""
    bottom: float
    top: float
    """Per cent."""
    cuts: bool
    """Whether there are variants above the top."""


def make_frame(siblings: Sequence[Sibling]) -> Frame:
    """A frame around all variants without outliers."""
    times, more = OUTLIER
    limit = times * median(s.wer for s in siblings) + more
    shown = [s for s in siblings if s.wer <= limit]
    near = [value for s in shown for value in (s.wer, *(s.wer_interval or ()))]
    air = max(0.25 * (max(near) - min(near)), 0.5)
    sizes = [s.bytes / 1e6 for s in siblings]
    return Frame(
        0.8 * min(sizes),
        1.3 * max(sizes),
        max(0.0, min(near) - air),
        max(near) + air,
        len(shown) < len(siblings),
    )


def make_dots(siblings: Sequence[Sibling], own: str, frame: Frame) -> list[Dot]:
    """The dots: that of the recipe `own` first, the others from left to right."""
    groups: dict[tuple[bool, float, float], list[Sibling]] = {}
    for s in siblings:
        groups.setdefault((s.recipe != own, float(f"{s.bytes / 1e6:.3g}"), s.wer), []).append(s)
    dots = []
    for (other, megabytes, wer), same in sorted(groups.items()):
        beyond = wer > frame.top
        label = ", ".join(s.recipe for s in same) + (f" ({wer:.1f} %)" if beyond else "")
        dots.append(Dot(label, megabytes, min(wer, frame.top), beyond, not other, same[0].wer_interval))
    return dots


def draw(siblings: Sequence[Sibling], own: str) -> bytes:
    """A PNG of at least two variants; that of the recipe `own` is highlighted."""
    from matplotlib import style as styles

    content = io.BytesIO()
    with styles.context("default", after_reset=True):
        figure = make_figure(siblings, own)
        figure.savefig(content, format="png", metadata={"Software": None}, facecolor=GROUND)
    return content.getvalue()


def make_figure(siblings: Sequence[Sibling], own: str) -> "Figure":
    """The figure before it is drawn; the panel of KL is there if two variants have it on record."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [Point(s.recipe, s.bytes, s.kl_mean, s.kl_interval) for s in siblings if s.kl_mean is not None]
    panels = 2 if len(points) > 1 else 1
    figure = Figure((SIZE[0], SIZE[1] * panels), DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(panels, 1, 1 + number, facecolor=GROUND) for number in range(panels)]
    frame = make_frame(siblings)
    _make_axes(axes[0], frame)
    dots = [make_dots(siblings, own, frame)]
    draw_dots(axes[0], dots[0], "^")
    if panels == 2:
        dots.append(frontier.draw_panel(axes[1], points, [own]))
    figure.draw_without_rendering()  # makes the layout, in which the labels find room
    figure.set_layout_engine("none")
    for panel, of_panel in zip(axes, dots, strict=True):
        write_labels(panel, of_panel)
    return figure


def _make_axes(axes: Any, frame: Frame) -> None:
    size_axis(axes, frame.left, frame.right)
    axes.set_ylim(frame.bottom, frame.top)
    axes.set_ylabel("WER over all clips, %, with 95 % intervals", color=INK)
    style(axes)
    if frame.cuts:
        note = f"▲ beyond the frame, which ends at {frame.top:.1f} %"
        axes.set_title(note, loc="right", fontsize=8, color=INK)

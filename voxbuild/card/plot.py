"""The plot of a model card: size against WER of all variants.

Equal variants and the same matplotlib give equal bytes: it holds no date and uses no user settings. The
background is opaque and light, to be readable in a light or dark theme.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin
from statistics import median
from typing import TYPE_CHECKING, Any

from .siblings import Sibling

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

SIZE = (8.0, 4.5)
"""Inches."""
DPI = 150
GROUND, INK, FAINT = "#f6f7f9", "#24292f", "#8a94a3"
OTHER, OWN = "#3f6fa8", "#c8352b"
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


@dataclass(frozen=True)
class Dot:
    """All variants with the same WER, and the same size to three digits; the card's own has its own dot."""

    label: str
    megabytes: float
    height: float
    """Its WER in per cent, at most the frame's top."""
    beyond: bool
    own: bool


def make_frame(siblings: Sequence[Sibling]) -> Frame:
    """A frame around all variants without outliers."""
    times, more = OUTLIER
    limit = times * median(s.wer for s in siblings) + more
    near = [s.wer for s in siblings if s.wer <= limit]
    air = max(0.25 * (max(near) - min(near)), 0.5)
    sizes = [s.bytes / 1e6 for s in siblings]
    return Frame(
        0.8 * min(sizes),
        1.3 * max(sizes),
        max(0.0, min(near) - air),
        max(near) + air,
        len(near) < len(siblings),
    )


def make_dots(siblings: Sequence[Sibling], own: str, frame: Frame) -> list[Dot]:
    """The dots: that of the recipe `own` first, the others from left to right."""
    groups: dict[tuple[bool, float, float], list[str]] = {}
    for s in siblings:
        groups.setdefault((s.recipe != own, float(f"{s.bytes / 1e6:.3g}"), s.wer), []).append(s.recipe)
    dots = []
    for (other, megabytes, wer), names in sorted(groups.items()):
        beyond = wer > frame.top
        label = ", ".join(names) + (f" ({wer:.1f} %)" if beyond else "")
        dots.append(Dot(label, megabytes, min(wer, frame.top), beyond, not other))
    return dots


def draw(siblings: Sequence[Sibling], own: str) -> bytes:
    """A PNG of at least two variants; that of the recipe `own` is highlighted."""
    from matplotlib import style

    content = io.BytesIO()
    with style.context("default", after_reset=True):
        figure = make_figure(siblings, own)
        figure.savefig(content, format="png", metadata={"Software": None}, facecolor=GROUND)
    return content.getvalue()


def make_figure(siblings: Sequence[Sibling], own: str) -> "Figure":
    """The figure before it is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(SIZE, DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=GROUND)
    frame = make_frame(siblings)
    dots = make_dots(siblings, own, frame)
    _make_axes(axes, frame)
    for dot in dots:
        axes.plot(
            dot.megabytes,
            dot.height,
            "^" if dot.beyond else "o",
            color=OWN if dot.own else OTHER,
            markersize=9 if dot.own else 6,
            clip_on=False,
            zorder=3 if dot.own else 2,
        )
    figure.draw_without_rendering()  # makes the layout, in which the labels find room
    figure.set_layout_engine("none")
    _write_labels(axes, dots)
    return figure


def _make_axes(axes: Any, frame: Frame) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(frame.left, frame.right)
    axes.set_ylim(frame.bottom, frame.top)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.4g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("size of the weights, MB (logarithmic)", color=INK)
    axes.set_ylabel("WER over all clips, %", color=INK)
    axes.tick_params(colors=INK)
    axes.grid(color=FAINT, alpha=0.3, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    if frame.cuts:
        note = f"▲ beyond the frame, which ends at {frame.top:.1f} %"
        axes.set_title(note, loc="right", fontsize=8, color=INK)


def _write_labels(axes: Any, dots: list[Dot]) -> None:
    """Put each label beside its dot, at the nearest free place."""
    from matplotlib.transforms import Bbox

    figure = axes.figure
    point = figure.dpi / 72  # in pixels
    places = [axes.transData.transform((dot.megabytes, dot.height)) for dot in dots]
    taken = [Bbox([(x - 5 * point, y - 5 * point), (x + 5 * point, y + 5 * point)]) for x, y in places]
    for dot, (x, y) in zip(dots, places, strict=True):
        label = axes.annotate(
            dot.label,
            (x, y),
            xycoords="figure pixels",
            fontsize=9,
            fontweight="bold" if dot.own else "normal",
            color=OWN if dot.own else INK,
            va="center",
            ha="center",
        )
        box = label.get_window_extent()
        for dx, dy in _offsets(box.width, box.height, point):
            moved = box.translated(dx, dy)
            if _free(moved, taken, axes.bbox):
                break
        label.set_position((x + dx, y + dy))
        taken.append(moved)
        _lead(figure, (x, y), moved, 14 * point)


def _offsets(width: float, height: float, point: float) -> Iterator[tuple[float, float]]:
    """Offsets from the dot to the middle of its label, in pixels: in all directions, at growing distances."""
    for distance in range(9, 120, 6):
        for angle in (0, 180, 90, 270, 45, 315, 135, 225):
            across, up = cos(radians(angle)), sin(radians(angle))
            yield across * (distance * point + width / 2), up * (distance * point + height / 2)


def _free(box: "Bbox", taken: list["Bbox"], frame: "Bbox") -> bool:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return inside and not any(box.overlaps(other) for other in taken)


def _lead(figure: "Figure", dot: tuple[float, float], box: "Bbox", far: float) -> None:
    """Draw a thin line from a dot to its label, if it is more than `far` pixels away."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import IdentityTransform

    x = min(max(dot[0], box.x0), box.x1)
    y = min(max(dot[1], box.y0), box.y1)
    if hypot(x - dot[0], y - dot[1]) > far:
        line = Line2D([dot[0], x], [dot[1], y], color=FAINT, linewidth=0.7, zorder=1)
        line.set_transform(IdentityTransform())
        figure.add_artist(line)

"""Labels beside the dots of a plot, none over another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

GROUND, INK, FAINT = "#f6f7f9", "#24292f", "#8a94a3"
"""The ground is opaque and light, to be readable in a light or dark theme."""
OTHER, OWN = "#3f6fa8", "#c8352b"


@dataclass(frozen=True)
class Dot:
    """A place in a plot, and what is there."""

    label: str
    megabytes: float
    height: float
    """In the unit of the vertical axis, within the frame."""
    beyond: bool
    """Whether its value is outside the frame."""
    own: bool
    """Whether it is highlighted."""
    interval: tuple[float, float] | None = None
    """The 95 % interval of its value, if it is known."""


def draw_dots(axes: Any, dots: Sequence[Dot], beyond: str) -> None:
    """Draw dots with their intervals; those outside the frame with the marker `beyond`, and without."""
    for dot in dots:
        if dot.interval and not dot.beyond:
            axes.vlines(dot.megabytes, *dot.interval, color=OWN if dot.own else OTHER, alpha=0.35, zorder=1)
        axes.plot(
            dot.megabytes,
            dot.height,
            beyond if dot.beyond else "o",
            color=OWN if dot.own else OTHER,
            markersize=9 if dot.own else 6,
            clip_on=False,
            zorder=3 if dot.own else 2,
        )


def style(axes: Any) -> None:
    """Colours and lines of the axes."""
    axes.tick_params(colors=INK)
    axes.grid(color=FAINT, alpha=0.3, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def size_axis(axes: Any, left: float, right: float) -> None:
    """A logarithmic axis of megabytes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,.4g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("size of the weights, MB (logarithmic)", color=INK)


def write_labels(axes: Any, dots: Sequence[Dot]) -> None:
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
            bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
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

"""Size against KL of variants, and the line of the best."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from .labels import FAINT, GROUND, INK, Dot, draw_dots, size_axis, style, write_labels

SIZE = 9.0, 7.0
"""Of a picture of its own, in inches."""
SALT = "voxbuild"
"""Of the names within an SVG, which are random without one."""


@dataclass(frozen=True)
class Point:
    """A variant."""

    name: str
    nbytes: int
    """Of its weights."""
    kl: float
    """KL mean, in nats; 0 for weights that are not quantized."""
    interval: tuple[float, float] | None = None
    """Its 95 % interval, if it is known."""

    @property
    def megabytes(self) -> float:
        """Its size to three digits."""
        return float(f"{self.nbytes / 1e6:.3g}")


def best(points: Sequence[Point]) -> list[Point]:
    """Quantized ones that no other one is both at most as large and nearer than, to three digits of size."""
    chosen: list[Point] = []
    for point in sorted(points, key=lambda p: (p.megabytes, p.kl)):
        if point.kl > 0 and (not chosen or point.kl < chosen[-1].kl):
            chosen.append(point)
    return chosen


def draw_panel(axes: Any, points: Sequence[Point], own: Collection[str]) -> list[Dot]:
    """Draw all but the labels; the dots, for `write_labels`. The variants named in `own` are highlighted."""
    from matplotlib.ticker import LogLocator, NullLocator

    sizes, near = [p.megabytes for p in points], [p.kl for p in points if p.kl > 0] or [1.0]
    bottom, top = min(near) / 3, max(near) * 2
    size_axis(axes, 0.8 * min(sizes), 1.3 * max(sizes))
    axes.set_yscale("log")
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("KL from the unquantized model, nats (logarithmic)", color=INK)
    style(axes)
    line = best(points)
    axes.plot([p.megabytes for p in line], [p.kl for p in line], color=FAINT, linewidth=1, zorder=1)
    dots = _dots(points, own, bottom)
    draw_dots(axes, dots, "v")
    return dots


def _dots(points: Sequence[Point], own: Collection[str], bottom: float) -> list[Dot]:
    """A dot for all points of the same KL, and of the same size to three digits."""
    groups: dict[tuple[bool, float, float], list[Point]] = {}
    for p in points:
        groups.setdefault((p.name not in own, p.megabytes, p.kl), []).append(p)
    dots = []
    for (other, megabytes, kl), same in sorted(groups.items()):
        label = ", ".join(p.name for p in same) + (" (0)" if kl == 0 else "")
        low, high = same[0].interval or (kl, kl)
        interval = (max(low, bottom), high)  # 0 is not on a logarithmic axis
        dots.append(Dot(label, megabytes, kl or bottom, kl == 0, not other, interval))
    return dots


def draw(points: Sequence[Point], own: Collection[str]) -> bytes:
    """An SVG. Equal points and the same matplotlib give equal bytes."""
    from matplotlib import rc_context
    from matplotlib import style as styles
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    content = io.BytesIO()
    with styles.context("default", after_reset=True), rc_context({"svg.hashsalt": SALT}):
        figure = Figure(SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot(facecolor=GROUND)
        dots = draw_panel(axes, points, own)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        write_labels(axes, dots)
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, facecolor=GROUND)
    return content.getvalue()

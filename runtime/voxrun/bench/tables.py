"""Figures and tables in Markdown."""

from collections.abc import Sequence

from .results import Spread

MS, MB = 1e3, 1e-6


def number(value: float) -> str:
    """Three figures, without an exponent."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.3f}" if value < 1 else f"{value:,.{digits}f}"


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{number(MS * seconds)} ms"


def ms_range(spread: Spread) -> str:
    """Milliseconds, without the unit: the median, and the range if there is one."""
    if spread.samples == 1:
        return number(MS * spread.median)
    return f"{number(MS * spread.median)} ({number(MS * spread.least)}-{number(MS * spread.most)})"


def mb(size: float) -> str:
    """10^6 bytes."""
    return f"{number(MB * size)} MB"


def percent(share: float) -> str:
    """Whole ones, but of a small share."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def counted(n: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned."""
    all_lines = [titles, *lines]
    widths = [max(len(line[i]) for line in all_lines) for i in range(len(titles))]
    rows = [
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in all_lines
    ]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])

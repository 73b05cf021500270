"""Figures and tables in Markdown."""

from collections.abc import Sequence


def number(value: float) -> str:
    """Three figures, without an exponent."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.3f}" if value < 1 else f"{value:,.{digits}f}"


def markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned."""
    all_lines = [titles, *lines]
    widths = [max(len(line[i]) for line in all_lines) for i in range(len(titles))]
    rows = [
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in all_lines
    ]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])

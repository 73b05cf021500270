"""What a reader sees of a card's text: its tables and images, by a parser of GitHub's Markdown.

A table may be written in many ways (without outer pipes, in a quotation, in a list); all are found here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Row:
    """A row of a table; what stands in its cells is without marks."""

    cells: list[str] = field(default_factory=list)
    bold: list[bool] = field(default_factory=list)
    """Of each cell, whether anything in it is."""
    links: list[str] = field(default_factory=list)
    """Where its links lead to, in all cells."""


@dataclass(frozen=True)
class Text:
    """All tables, a row each time, the headers first, and the images' names, in order."""

    tables: list[list[Row]]
    images: list[str]


def read_text(markdown: str) -> Text:
    """Raises ValueError for what may look like a table and is none: HTML, and bars in the text."""
    text = Text([], [])
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token, in_table in _placed(tokens):
        if token.type == "html_block":
            raise ValueError("it holds HTML")
        if token.type == "table_open":
            text.tables.append([])
        elif token.type == "tr_open":
            text.tables[-1].append(Row())
        elif token.type == "inline":
            _read_line(token.children or [], text, in_table)
    return text


def _placed(tokens: list[Token]) -> Iterator[tuple[Token, bool]]:
    """Each token, and whether it is of a table."""
    depth = 0
    for token in tokens:
        depth += (token.type == "table_open") - (token.type == "table_close")
        yield token, depth > 0


def _read_line(parts: list[Token], text: Text, in_table: bool) -> None:
    kinds = {part.type for part in parts}
    said = "".join(" " if part.type == "softbreak" else part.content for part in parts)
    if "html_inline" in kinds:
        raise ValueError("it holds HTML")
    text.images.extend(str(part.attrs["src"]) for part in parts if part.type == "image")
    if in_table:
        row = text.tables[-1][-1]
        row.cells.append(said)
        row.bold.append("strong_open" in kinds)
        row.links.extend(str(part.attrs["href"]) for part in parts if part.type == "link_open")
    elif "|" in said:
        raise ValueError(f"what looks like a table is none: {said}")

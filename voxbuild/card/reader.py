"""The tables and images of a card's text, by a parser of GitHub's Markdown.

It finds tables in all notations: without outer pipes, in quotations, in lists.
"""

from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: list[str] = field(default_factory=list)
    """Text without markup."""
    bold: list[bool] = field(default_factory=list)
    """For each cell, whether some of it is bold."""
    links: list[str] = field(default_factory=list)
    """The targets of the links in all cells."""


@dataclass(frozen=True)
class Text:
    """All tables as rows, the header first, and the images' names, in order."""

    tables: list[list[Row]]
    images: list[str]


def read_text(markdown: str) -> Text:
    """Read a card. Raises ValueError for what may be shown as a table but is none: HTML, and bars in text."""
    text, depth = Text([], []), 0
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        depth += (token.type == "table_open") - (token.type == "table_close")
        if token.type == "html_block":
            raise ValueError("it holds HTML")
        if token.type == "table_open":
            text.tables.append([])
        elif token.type == "tr_open":
            text.tables[-1].append(Row())
        elif token.type == "inline":
            _read_line(token.children or [], text, depth > 0)
    return text


def _read_line(parts: list[Token], text: Text, in_table: bool) -> None:
    kinds = {part.type for part in parts}
    content = "".join(" " if part.type == "softbreak" else part.content for part in parts)
    if "html_inline" in kinds:
        raise ValueError("it holds HTML")
    text.images.extend(str(part.attrs["src"]) for part in parts if part.type == "image")
    if in_table:
        row = text.tables[-1][-1]
        row.cells.append(content)
        row.bold.append("strong_open" in kinds)
        row.links.extend(str(part.attrs["href"]) for part in parts if part.type == "link_open")
    elif "|" in content:
        raise ValueError(f"this looks like a table but is none: {content}")

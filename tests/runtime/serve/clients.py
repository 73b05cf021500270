"""The table of clients in docs/clients.md: which tests speak to the server as which program does.

`pytest tests/runtime/serve --write-clients` runs them and writes it again.
"""

import importlib.metadata
from collections import Counter
from dataclasses import dataclass

from committed import ROOT

DOCUMENT = ROOT / "docs" / "clients.md"
HEAD = """\
# Clients of the server

Written by `pytest tests/runtime/serve --write-clients`, which runs the named tests in `tests/runtime/serve/` against a server with
tiny. "Genuine" is the program itself, unpatched, as it is installed from PyPI; "replayed" are the requests or messages that it sends, read
in its source. Every transcript is compared with that of `voxrun` for the same clip. How to set each of them up: [serving.md](serving.md).

| client | how | speaks | what was seen working | tests |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Client:
    """A program, and the tests that are or speak as it does."""

    name: str
    speaks: str
    works: str
    tests: tuple[str, ...]
    """Files, or functions in files as pytest names them."""
    package: str | None = None
    """On PyPI, of a genuine one."""

    @property
    def how(self) -> str:
        """Whether it is genuine, and which version."""
        return f"genuine {importlib.metadata.version(self.package)}" if self.package else "replayed"


CLIENTS: tuple[Client, ...] = ()


def table(outcomes: dict[str, str]) -> str:
    """The document, for the outcomes of tests by their names. Raises ValueError if a test is not among them."""
    return HEAD + "".join(
        f"| {client.name} | {client.how} | {client.speaks} | {client.works} | {_counted(client, outcomes)} |\n"
        for client in CLIENTS
    )


def belongs(test: str, to: str) -> bool:
    """Whether a test, as pytest names it, is one of a file's or of a function's."""
    return test == to or test.startswith((f"{to}::", f"{to}["))


def _counted(client: Client, outcomes: dict[str, str]) -> str:
    counts = Counter[str]()
    for named in client.tests:
        found = [outcome for test, outcome in outcomes.items() if belongs(test, named)]
        if not found:
            raise ValueError(f"{named}: no such test was run")
        counts.update(found)
    files = sorted({f"`{test.partition('::')[0]}`" for test in client.tests})
    return ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())) + " in " + ", ".join(files)

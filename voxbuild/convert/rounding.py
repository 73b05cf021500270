"""What is to be said of how matrices were rounded whose method needs moments of the kind `matrix`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxbuild.folders import Journal

if TYPE_CHECKING:  # they compile loops
    from .pieces import Stored
    from .ready import Ready


class Rounding:
    """Counts the rows of pieces; continues with the facts of a conversion that was stopped."""

    def __init__(self, facts: Mapping[str, dict[str, Any]] | None = None) -> None:
        known = facts or {}
        self._without: dict[str, str] = dict(known.get("without_moments", {}))
        self._plain: dict[str, int] = dict(known.get("plain_rows", {}))

    def add(self, stored: "Stored") -> None:
        """Count a piece's rows."""
        piece, module = stored.piece, stored.piece.tensor.module
        if piece.ready:
            self._take_over(piece.ready, module)
            return
        if piece.choice and piece.choice.why:
            self._without[module] = piece.choice.why
        if stored.plain_rows:
            self._plain[module] = self._plain.get(module, 0) + stored.plain_rows
        if piece.is_last and self._plain.get(module) == piece.tensor.shape[0]:
            self._without[module] = "no row is better than by plain rounding"

    def _take_over(self, ready: "Ready", module: str) -> None:
        if ready.why:
            self._without[module] = ready.why
        if ready.plain_rows:
            self._plain[module] = ready.plain_rows

    @property
    def facts(self) -> dict[str, Any]:
        """without_moments: module -> why; plain_rows: module -> rows that were rounded plainly."""
        facts: dict[str, dict[str, Any]] = {"without_moments": self._without, "plain_rows": self._plain}
        return {name: dict(sorted(fact.items())) for name, fact in facts.items() if fact}


def rounding_of(journal: Journal) -> dict[str, Any]:
    """The facts of all finished shards and steps together."""
    together: dict[str, Any] = {}
    for facts in journal.facts:
        for name, fact in facts.items():
            together[name] = dict(sorted((together.get(name, {}) | fact).items()))
    return together

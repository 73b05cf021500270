"""The gates of a validation: what was measured against the limits of recipe and source."""

import math
from typing import Any

from voxbuild.card.tables import wer_table
from voxbuild.console import markdown
from voxbuild.recipes.gates import FLOORS, Gates


def check(gates: Gates, figures: dict[str, float]) -> list[dict[str, Any]]:
    """Name, limit, measured and passed of each gate.

    A figure that is not finite (None) fails its gate, even if there is no limit for it (None).
    """
    results = []
    for name, limit in gates.model_dump().items():
        value = finite(figures[name])
        if limit is None and value is not None:
            continue
        passed = value is not None and (value >= limit if name in FLOORS else value <= limit)
        results.append({"name": name, "limit": limit, "measured": value, "passed": passed})
    return results


def finite(value: float) -> float | None:
    """The value, or None, which is JSON, if it is not finite."""
    return value if math.isfinite(value) else None


def gates_table(validation: dict[str, Any]) -> str:
    """The error rates of each clip set, and the result of each gate, as Markdown tables."""
    gates = [
        (
            gate["name"],
            "a number" if gate["limit"] is None else gate["limit"],
            "not finite" if gate["measured"] is None else gate["measured"],
            "pass" if gate["passed"] else "FAIL",
        )
        for gate in validation["gates"]
    ]
    return f"{wer_table(validation)}\n\n{markdown(gates, ['gate', 'limit', 'measured', ''])}"

"""Tables for people."""

from collections.abc import Iterable
from typing import Any

from tabulate import tabulate

from voxrun.messages import sentence

from .manifest import Manifest
from .recipe import Recipe


def markdown(rows: Iterable[Iterable[Any]], header: list[str]) -> str:
    """A Markdown table; columns of numbers are aligned right, their text is kept as it is."""
    return tabulate([list(row) for row in rows], header, "github", disable_numparse=True)


def foreign_table(rows: Iterable[Iterable[str]], header: list[str]) -> str:
    """The same of what somebody else wrote: every cell printable, on one line, and in its column."""
    return markdown(([sentence(cell).replace("|", r"\|") for cell in row] for row in rows), header)


def gates_table(validation: dict[str, Any]) -> str:
    """Measured WER by clip set, fidelity, and each gate."""
    sets = [
        (n, s["clips"], s["words"], f"{s['wer']:.2f}", f"{s['cer']:.2f}", f"{s['unquantized_wer']:.2f}")
        for n, s in [
            *validation["sets"].items(),
            ("all", validation["total"] | {"unquantized_wer": validation["unquantized"]["wer"]}),
        ]
    ]
    gates = [
        (g["name"], g["limit"], g["measured"], "pass" if g["passed"] else "FAIL") for g in validation["gates"]
    ]
    heard = markdown(sets, ["clips", "count", "words", "WER %", "CER %", "unquantized WER %"])
    return f"{heard}\n\n{markdown(gates, ['gate', 'limit', 'measured', ''])}"


VARIANT_HEADER = [
    *("recipe", "bits/weight", "MB", "WER %", "worst set", "CER %"),
    *("top-1 %", "KL mean", "KL p99", "gates"),
]


def variant_row(
    recipe: Recipe, manifest: Manifest, validation: dict[str, Any] | None, current: bool
) -> list[str]:
    """One artifact in the table, see VARIANT_HEADER. `current`: what passed is what is there now."""
    row = [recipe.name, f"{manifest.bits_per_weight:.2f}", f"{manifest.weight_bytes / 1e6:,.2f}"]
    if validation is None:
        return [*row, *[""] * 6, "not validated"]
    near, total = validation["fidelity"], validation["total"]
    return [
        *row,
        f"{total['wer']:.2f}",
        f"{max(rates['wer'] for rates in validation['sets'].values()):.2f}",
        f"{total['cer']:.2f}",
        f"{100 * near['top1_agreement']:.2f}",
        f"{near['kl_mean']:.5f}",
        f"{near['kl_p99']:.4f}",
        ("pass" if current else "stale") if validation["passed"] else "FAIL",
    ]

"""Tables for people."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tabulate import tabulate

from .manifest import Manifest
from .modes import PLAIN
from .plan import Plan
from .recipe import Recipe


def markdown(rows: Iterable[Iterable[Any]], header: list[str]) -> str:
    """A Markdown table; columns of numbers are aligned right, their text is kept as it is."""
    return tabulate([list(row) for row in rows], header, "github", disable_numparse=True)


def plan_table(plan: Plan) -> str:
    """Every tensor with its source, transform, format, shape, size and shard, then the sums."""
    rows = [
        (
            tensor.name,
            tensor.source,
            "swap 1,2" if tensor.transpose else "",
            _format(tensor.quantization, tensor.dtype),
            "x".join(map(str, tensor.shape)),
            f"{tensor.nbytes:,}",
            tensor.shard + 1,
        )
        for tensor in plan.tensors
    ]
    header = ["tensor", "source", "transform", "format", "shape", "bytes", "shard"]
    sums = (
        f"{plan.recipe}: {len(plan.tensors)} tensors, {plan.parameters:,} parameters,"
        f" {plan.nbytes / 1e6:,.1f} MB in {len(plan.shards)} shard(s),"
        f" {plan.bits_per_weight:.3f} bits per weight"
    )
    return f"{markdown(rows, header)}\n\n{_by_part(plan)}\n\n{sums}"


def _by_part(plan: Plan) -> str:
    """Size and bits per weight of encoder, adapter, language model and its embedding."""
    parts: dict[str, list[Any]] = defaultdict(list)
    for tensor in plan.tensors:
        part = tensor.name.split(".")[0]
        parts["embedding" if "embed_tokens" in tensor.name else part].append(tensor)
    rows = []
    for part, tensors in parts.items():
        share = Plan(plan.recipe, tuple(tensors), {})
        rows.append((part, f"{share.parameters:,}", f"{share.nbytes:,}", f"{share.bits_per_weight:.3f}"))
    return markdown(rows, ["part", "parameters", "bytes", "bits per weight"])


def _format(quantization: Any, dtype: str) -> str:
    if quantization is None:
        return dtype
    search = "" if quantization.search == PLAIN else f", {quantization.search}"
    return f"{quantization.mode} {quantization.bits} bit / {quantization.group_size}{search}"


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
    weights = sum(int(e["size"]) for n, e in manifest.files.items() if n.endswith(".safetensors"))
    row = [recipe.name, f"{manifest.bits_per_weight:.2f}", f"{weights / 1e6:,.2f}"]
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

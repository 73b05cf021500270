"""What a recipe with `quantize:` leaves unquantized, and why."""

from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import Recipe
from voxbuild.tensors.module_kinds import kind_of
from voxrun.checkpoint.tensors import Tensor

from .planner import Plan, TensorPlan

NO_MATRIX = "not a matrix"


def unquantized(recipe: Recipe, plan: Plan) -> list[dict[str, Any]]:
    """What stays unquantized: kind, dtype, why, tensors (count), parameters; empty without `quantize:`."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for tensor in plan.tensors if recipe.quantize else ():
        if recipe.quantize and tensor.quantization is None:
            key = kind_of(tensor.name), tensor.dtype, _why(recipe.quantize, tensor)
            sums.setdefault(key, []).append(Tensor(tensor.name, tensor.dtype, tensor.shape).size)
    return [
        {"kind": kind, "dtype": dtype, "why": why, "tensors": len(sizes), "parameters": sum(sizes)}
        for (kind, dtype, why), sizes in sums.items()
    ]


def _why(quantize: Quantize, tensor: TensorPlan) -> str:
    if not tensor.name.endswith(".weight") or len(tensor.shape) != 2:
        return NO_MATRIX
    rule = quantize.rule_for(tensor.module)
    if rule and rule.skip:
        return f"skipped by the rule with match {rule.match}"
    size = (rule and rule.group_size) or quantize.group_size
    return f"rows of {tensor.shape[1]} weights are not whole groups of {size}"


def unquantized_table(rows: list[dict[str, Any]]) -> str:
    """The same as a table: matrices by kind, all else in one row."""
    cells = [
        (row["kind"], row["tensors"], f"{row['parameters']:,}", row["dtype"], row["why"])
        for row in rows
        if row["why"] != NO_MATRIX
    ]
    if others := [row for row in rows if row["why"] == NO_MATRIX]:
        count, parameters = (sum(row[key] for row in others) for key in ("tensors", "parameters"))
        name = "norms, biases, convolutions"
        cells.append((name, count, f"{parameters:,}", others[0]["dtype"], NO_MATRIX))
    return markdown(cells, ["not quantized", "tensors", "parameters", "dtype", "why"])

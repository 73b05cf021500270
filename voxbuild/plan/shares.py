"""What `doit plan` says of a recipe with a budget: who gets how many bits, or what is missing to know it."""

from collections.abc import Mapping
from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.quantization import listed
from voxbuild.recipes.recipe import Recipe

from .allocation import MakePlan, check_budget, limit_of, matrices, plain_plan
from .costs import widths_for
from .planner import Plan
from .requirements import MINUTE, time_in_words
from .work import measuring_seconds

Shares = dict[str, Any]
ITSELF = "matrix"
"""The column of matrices that belong to no numbered layer."""


def shares(plan: Plan) -> list[Shares]:
    """A row for each layer: layer, bytes, and settings: matrix -> bits/group size; null: as it is."""
    rows: dict[str, Shares] = {}
    for module, tensor in matrices(plan).items():
        layer, column = _place(module)
        row = rows.setdefault(layer, {"layer": layer, "bytes": 0, "settings": {}})
        how = tensor.quantization
        row["settings"][column] = f"{how.bits}/{how.group_size}" if how else None
        row["bytes"] += tensor.nbytes
    return [rows[layer] for layer in sorted(rows, key=_order)]


def _place(module: str) -> tuple[str, str]:
    words = module.split(".")
    return (module, ITSELF) if not any(map(str.isdigit, words)) else (_layer(words), words[-1])


def _layer(words: list[str]) -> str:
    last = max(i for i, word in enumerate(words) if word.isdigit())
    return ".".join(words[: last + 1])


def _order(layer: str) -> list[tuple[bool, int, str]]:
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in layer.split(".")]


def shares_table(rows: list[Shares], rules: int) -> str:
    """The same for people."""
    columns = list(dict.fromkeys(column for row in rows for column in row["settings"]))
    cells = [
        [row["layer"], *(_cell(row["settings"], column) for column in columns), f"{row['bytes']:,}"]
        for row in rows
    ]
    said = f"bits/group size of each matrix, in {rules} rules that `doit allocate` writes as a recipe"
    return f"{markdown(cells, ['layer', *columns, 'bytes'])}\n{said}"


def _cell(settings: Mapping[str, str | None], column: str) -> str:
    return (settings[column] or "as it is") if column in settings else ""


def unmeasured(recipe: Recipe, source: str, make: MakePlan) -> Shares:
    """What is known before: recipe, source, measured, limit_bytes, counted (what has these bytes),
    measuring_seconds, widths, command.

    Raises PlanError if nothing fits the budget.
    """
    check_budget(recipe, make)
    assert recipe.budget is not None
    plain = plain_plan(recipe, make)
    widths = widths_for({module: weight.shape for module, weight in matrices(plain).items()})
    return {
        "recipe": recipe.name,
        "source": source,
        "measured": False,
        "limit_bytes": limit_of(recipe, plain),
        "counted": recipe.budget.counted,
        "measuring_seconds": round(measuring_seconds(plain, len(widths), MINUTE), 1),
        "widths": list(widths),
        "command": f"doit measure recipe={recipe.name} source={source}",
    }


def unmeasured_text(shown: Shares) -> str:
    """The same for people."""
    long = time_in_words(shown["measuring_seconds"])
    widths = listed(shown["widths"], "and")
    only = "; a large model, so the others are extrapolated" if len(shown["widths"]) == 1 else ""
    return (
        f"{shown['recipe']} over {shown['source']}: at most {shown['limit_bytes']:,} bytes of"
        f" {shown['counted']}. Who gets how many bits is not measured yet:"
        f" `{shown['command']}` takes about {long} for each minute of recordings"
        f" (each matrix alone at {widths} bits{only})"
    )

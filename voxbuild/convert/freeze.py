"""A recipe with a budget, written as an ordinary one: who gets how many bits, to review and to keep."""

from pathlib import Path
from typing import Any

import yaml

from voxbuild.artifact.variant import Variant
from voxbuild.errors import RecipeError
from voxbuild.files import write_text
from voxbuild.plan.allocation import allocated
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import load
from voxrun.files.hashes import sha256_of

from .conversion import planner_of

WIDTH = 110


def freeze(variant: Variant, path: Path | None = None) -> str:
    """Write a variant's recipe with the rules that its budget gives; return where they are.

    `path`: the file; by default beside the recipe, named by recipe and source. Raises RecipeError for a
    recipe without a budget, and for a file that is there already; PlanError.
    """
    recipe = variant.recipe
    if recipe.budget is None:
        raise RecipeError(f"{recipe.name}.yaml has no size limit, such as `bits: {{average: 4}}`")
    path = path or variant.work.recipes / f"{recipe.name}-{variant.source.name}.yaml"
    if path.suffix != ".yaml":
        raise RecipeError(f"{path}: a recipe's name ends in .yaml")
    if path.exists():
        raise RecipeError(f"{path}: exists already; delete it, or give another file with out=FILE")
    found = allocated(recipe, planner_of(variant), variant.sensitivity_file)
    write_text(path, _text(variant, found, path.stem))
    try:
        load(path, Recipe)
    except RecipeError:  # such as a name that no recipe can have
        path.unlink()  # or no recipe of its folder could be read
        raise
    rules = len(found.quantize.rules) if found.quantize else 0
    return f"{path}: {rules} rules, from the measurement in {variant.sensitivity_file}"


def _text(variant: Variant, found: Recipe, name: str) -> str:
    recipe, measured = variant.recipe, sha256_of(variant.sensitivity_file)
    assert recipe.budget is not None
    about = (
        f"# {recipe.name}.yaml over {variant.source.name}, within {recipe.budget.in_words}.\n"
        f"# Written by `doit allocate` from the measurement with sha256\n# {measured}.\n"
    )
    content = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"name": name}
    content["quantize"] = _section(found)
    if found.moments is None:
        del content["calibrate"]
    kept = {key: value for key, value in content.items() if value is not None}
    return about + yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=WIDTH)


def _section(found: Recipe) -> dict[str, Any] | None:
    if found.quantize is None:
        return None
    section = found.quantize.model_dump(mode="json", exclude_defaults=True)
    return {"mode": found.quantize.mode, **section}

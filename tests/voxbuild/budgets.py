"""Recipes with a budget, resolved with made-up costs, for tests."""

from voxbuild.plan.allocation import candidates, matrices, plain_plan, resolved


def settled(recipe, make):
    """The recipe as an ordinary one: itself, or with a budget as if every matrix cost the same."""
    if recipe.budget is None:
        return recipe
    settings = candidates(recipe, matrices(plain_plan(recipe, make)))
    costs = {module: {how: 4.0**-how.bits for how in each if how} for module, each in settings.items()}
    return resolved(recipe, make, costs)

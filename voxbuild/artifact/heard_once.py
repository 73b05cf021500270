"""No recording both calibrates and validates."""

from voxbuild.errors import RecipeError
from voxbuild.sources.clips import in_both

from .variant import Variant


def check_heard_once(variant: Variant) -> None:
    """Raises RecipeError if a recording both calibrates and validates, under whatever name."""
    if not (calibrate := variant.recipe.calibrate):
        return
    for name, clips in variant.clip_sets.items():
        if both := in_both(variant.book.clips[calibrate], clips, variant.work.clips):
            raise RecipeError(
                f"recipe {variant.recipe.name}: {calibrate} cannot calibrate what {name} validates:"
                f" {both[0].resolve()} and {both[1].resolve()} are the same recording;"
                " take it out of one of them"
            )

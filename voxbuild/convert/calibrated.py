"""The moments of a calibrated recipe, as conversion reads them; they must be of this model."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from voxbuild.artifact.variant import Variant
from voxbuild.errors import ConvertError
from voxbuild.plan.planner import Plan
from voxbuild.tensors.methods import METHODS, Lookup
from voxbuild.tensors.moments import Moments, load_moments
from voxbuild.tensors.second_moments import SecondMoments


@contextmanager
def moments_of(variant: Variant, plan: Plan) -> Iterator[dict[str, Lookup]]:
    """The moments of a variant's inputs by their kind; nothing without a calibration.

    Raises ConvertError if they are missing.
    """
    kind, path = variant.recipe.moments, variant.moments_file
    if kind == "matrix":
        with SecondMoments(path) as file:
            check_second_moments(plan, file)
            yield {kind: file.of}
    elif kind:
        moments = load_moments(path)
        check_moments(plan, moments)
        yield {kind: moments.get}
    else:
        yield {}


def check_moments(plan: Plan, moments: Moments) -> None:
    """Raises ConvertError unless there are moments for each matrix whose search needs them."""
    for tensor in plan.tensors:
        if tensor.quantization is None or METHODS[tensor.quantization.search].moments != "diagonal":
            continue
        found = moments.get(tensor.module)
        if found is None or found.shape != tensor.shape[1:] or not np.isfinite(found).all():
            raise ConvertError(
                f"{tensor.module}: the calibration has no usable moments of its {tensor.shape[1]} inputs;"
                " calibrate again, or give it a rule with another search"
            )


def check_second_moments(plan: Plan, file: SecondMoments) -> None:
    """Raises ConvertError if no matrix that needs moments has any: they are of another model."""
    needed = [
        tensor.module
        for tensor in plan.tensors
        if tensor.quantization and METHODS[tensor.quantization.search].moments == "matrix"
    ]
    if needed and not any(file.has(module) for module in needed):
        raise ConvertError(f"{file.path}: no second moments of this model's inputs; calibrate again")

"""Which loaders can read a planned artifact: the rules of `loaders` applied to every module."""

from collections.abc import Iterator

from voxbuild.errors import PlanError
from voxbuild.recipes.loaders import LOADERS, Loader, sizes_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.tensors.modes import Quantization
from voxrun.checkpoint.config import ModelConfig

from .planner import Plan, TensorPlan


def check_dialects(recipe: Recipe, plan: Plan) -> None:
    """Raises PlanError, with module and rule, if a loader in a recipe's `dialects:` cannot read the plan."""
    for name in recipe.dialects:
        if fault := first_fault(LOADERS[name], recipe, plan):
            raise PlanError(f"{recipe.name}.yaml: dialects: {name} cannot read it: {fault}")


def dialect_lines(recipe: Recipe, plan: Plan) -> str:
    """A line for each loader: whether it can read the planned artifact, and if not, why."""
    return "\n".join(_line(loader, recipe, plan) for loader in LOADERS.values())


def _line(loader: Loader, recipe: Recipe, plan: Plan) -> str:
    if fault := first_fault(loader, recipe, plan):
        return f"{loader.name} cannot read it: {fault}"
    made = "the artifact itself" if loader.reads_the_artifact else f"{recipe.name}.{loader.name}"
    wanted = "" if loader.name in recipe.dialects else f", if `dialects:` says {loader.name}"
    limit = loader.limit(ModelConfig.from_dict(plan.config))
    return f"{loader.name} can read it: {made}{wanted}" + (f"; {limit}" if limit else "")


def first_fault(loader: Loader, recipe: Recipe, plan: Plan) -> str | None:
    """The first reason why a loader cannot read the plan, and the number of others; None: it can read it."""
    default = recipe.quantize.quantization if recipe.quantize else None
    faults = list(_size_faults(loader, ModelConfig.from_dict(plan.config)))
    by_name = sorted(plan.tensors, key=lambda tensor: tensor.name)
    faults += [fault for tensor in by_name for fault in tensor_faults(loader, tensor, default)]
    if not faults:
        return None
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return faults[0] + more


def _size_faults(loader: Loader, config: ModelConfig) -> Iterator[str]:
    sizes = sizes_of(config)
    for name, value in loader.assumed.items():
        if sizes[name] != value:
            yield f"{name} is {sizes[name]}; its code has a fixed {value}"
    window = config.decoder.sliding_window
    if loader.window is not None and window > loader.window:
        yield f"decoder.sliding_window is {window}; its code has a fixed {loader.window}"
    if loader.format is None:
        return
    places: dict[str, str] = {}
    for name in sorted(sizes.keys() - loader.assumed.keys()):
        other = places.setdefault(loader.format.path(name), name)
        if sizes[other] != sizes[name]:
            yield f"{other} and {name} differ; it has only one key for both"


def tensor_faults(loader: Loader, tensor: TensorPlan, default: Quantization | None) -> Iterator[str]:
    """A reason for every rule that a tensor breaks."""
    how = tensor.quantization
    if how is None:
        if loader.uniform and default and tensor.name.endswith(".weight") and default.fits(tensor.shape):
            yield f"{tensor.module} is not quantized; every matrix that can be must be"
        return
    assert default is not None
    if not loader.modes:
        yield f"{tensor.module} is quantized; nothing may be"
        return
    said = f"{tensor.module} is quantized as {how.mode} {how.bits} bit / {how.group_size}"
    if how.mode not in loader.modes:
        yield f"{said}; it reads {' and '.join(loader.modes)} only"
    elif loader.uniform and how.as_config() != default.as_config():
        yield f"{said}; all must have the default, {default.bits} bit / {default.group_size}"
    if loader.default_groups and not default.fits(tensor.shape):
        yield f"{said}; its rows are not whole groups of the default {default.group_size}"
    path = loader.dialect.native_module(tensor.module)
    if parts := [part for part in loader.plain if part in path]:
        yield f"{tensor.module} is quantized; modules with `{parts[-1]}` in their path ({path}) must not be"

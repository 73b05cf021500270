"""Which loaders can read what a plan makes: the rules of `loaders` held against every module."""

from collections.abc import Iterator

from voxbuild.errors import PlanError
from voxbuild.recipes.loaders import LOADERS, Loader, sizes_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.tensors.modes import Quantization
from voxrun.checkpoint.config import ModelConfig

from .planner import Plan, TensorPlan


def check_dialects(recipe: Recipe, plan: Plan) -> None:
    """Raises PlanError naming dialect, module and rule if a recipe's `dialects:` cannot be."""
    for name in recipe.dialects:
        if fault := first_fault(LOADERS[name], recipe, plan):
            raise PlanError(f"{recipe.name}.yaml: dialects: {name} cannot read it: {fault}")


def dialect_lines(recipe: Recipe, plan: Plan) -> str:
    """A line for each loader: whether it could read what is planned, and why not."""
    return "\n".join(_line(loader, recipe, plan) for loader in LOADERS.values())


def loader_faults(recipe: Recipe, plan: Plan) -> dict[str, str | None]:
    """Loader -> why it cannot read what is planned; None: it can."""
    return {name: first_fault(loader, recipe, plan) for name, loader in LOADERS.items()}


def _line(loader: Loader, recipe: Recipe, plan: Plan) -> str:
    if fault := first_fault(loader, recipe, plan):
        return f"{loader.name} cannot read it: {fault}"
    made = "the artifact itself" if loader.reads_the_artifact else f"{recipe.name}.{loader.name}"
    wanted = "" if loader.name in recipe.dialects else f", if `dialects:` says {loader.name}"
    return f"{loader.name} can read it: {made}{wanted}"


def first_fault(loader: Loader, recipe: Recipe, plan: Plan) -> str | None:
    """Why a loader cannot read what is planned, and of how many modules that is true; None: it can."""
    default = recipe.quantize.quantization if recipe.quantize else None
    faults = list(_size_faults(loader, ModelConfig.from_dict(plan.config)))
    by_name = sorted(plan.tensors, key=lambda tensor: tensor.name)
    faults += [fault for tensor in by_name for fault in _tensor_faults(loader, tensor, default)]
    if not faults:
        return None
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return faults[0] + more


def _size_faults(loader: Loader, config: ModelConfig) -> Iterator[str]:
    sizes = sizes_of(config)
    for name, value in loader.assumed.items():
        if sizes[name] != value:
            yield f"{name} is {sizes[name]}; {value} is written into its code"
    if loader.format is None:
        return
    places: dict[str, str] = {}
    for name in sorted(sizes.keys() - loader.assumed.keys()):
        other = places.setdefault(loader.format.path(name), name)
        if sizes[other] != sizes[name]:
            yield f"{other} and {name} differ; it has one key for both"


def _tensor_faults(loader: Loader, tensor: TensorPlan, default: Quantization | None) -> Iterator[str]:
    """Every rule that a tensor breaks."""
    how = tensor.quantization
    if how is None:
        if loader.uniform and default and tensor.name.endswith(".weight") and default.fits(tensor.shape):
            yield f"{tensor.module} is not quantized; whatever can be must be"
        return
    assert default is not None
    if not loader.modes:
        yield f"{tensor.module} is quantized; nothing may be"
        return
    said = f"{tensor.module} is quantized as {how.mode} {how.bits} bit / {how.group_size}"
    if how.mode not in loader.modes:
        yield f"{said}; it reads {' and '.join(loader.modes)} only"
    elif loader.uniform and how.as_config() != default.as_config():
        yield f"{said}; all must be like the default, {default.bits} bit / {default.group_size}"
    if loader.default_groups and not default.fits(tensor.shape):
        yield f"{said}; its rows are no whole groups of the default {default.group_size}"
    path = loader.dialect.native_module(tensor.module)
    if parts := [part for part in loader.plain if part in path]:
        yield f"{tensor.module} is quantized; what has `{parts[-1]}` in its path ({path}) must not be"

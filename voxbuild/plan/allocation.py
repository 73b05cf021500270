"""Which module gets how many bits: a recipe with a budget, resolved to one with default settings and rules.

What each setting of each module costs is measured (`voxbuild.calibrate.sensitivity`); here everything is
arithmetic. The sum of the costs is least among all choices within the budget.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path

from voxbuild.errors import PlanError
from voxbuild.recipes.loaders import LOADERS
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import size_in_bytes
from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.writer import header_bytes

from .compatibility import tensor_faults
from .costs import Costs, costs_of, read_measured
from .knapsack import Option, TooSmallError, cheapest
from .planner import Plan, TensorPlan
from .rules import rules_for

Setting = Quantization | None
"""Of a module; None: it is left as it is."""
MakePlan = Callable[[Recipe], Plan]


def matrices(plan: Plan) -> dict[str, TensorPlan]:
    """Module -> its weight, if that is a matrix, in the plan's order."""
    return {t.module: t for t in plan.tensors if t.name.endswith(".weight") and len(t.shape) == 2}


def plain_plan(recipe: Recipe, make: MakePlan) -> Plan:
    """The plan without `quantize:`."""
    return make(_quantized(recipe, None))


def check_budget(recipe: Recipe, make: MakePlan) -> None:
    """Raises PlanError if a recipe with a budget cannot hold, whatever is measured."""
    settings = candidates(recipe, matrices(plain_plan(recipe, make)))
    resolved(recipe, make, {module: {how: 0.0 for how in each if how} for module, each in settings.items()})


def candidates(recipe: Recipe, weights: Mapping[str, TensorPlan]) -> dict[str, list[Setting]]:
    """Module -> the settings to choose from: what the recipe says, and what its dialects can read.

    Raises PlanError for a pattern that no module matches, and if a module has no setting.
    """
    quantize = recipe.quantize
    assert quantize is not None and quantize.budget is not None
    for pattern in (*quantize.rules, *quantize.least):
        if not any(map(pattern.matches, weights)):
            raise PlanError(f"{recipe.name}.yaml: quantize: no matrix matches {pattern.match}")
    found = {module: _settings(recipe, quantize, weight) for module, weight in weights.items()}
    for module, settings in found.items():
        if not settings:
            raise PlanError(
                f"{recipe.name}.yaml: quantize: nothing is left for {module} to choose from; change the rule,"
                " the candidates or `least:`"
            )
    return found


def _settings(recipe: Recipe, quantize: Quantize, weight: TensorPlan) -> list[Setting]:
    rule, default = quantize.rule_for(weight.module), quantize.quantization
    bits = max((each.bits for each in quantize.least if each.matches(weight.module)), default=0)
    chosen: list[Quantization] = []
    if rule is None or not rule.skip:
        chosen = [
            Quantization(quantize.mode, width, size, quantize.search)
            for width in ([rule.bits] if rule and rule.bits else quantize.candidate_bits)
            for size in ([rule.group_size] if rule and rule.group_size else quantize.candidate_groups)
        ]
    fitting = [how for how in chosen if how.fits(weight.shape)]
    allowed = [how for how in fitting if how.bits >= bits]
    readable: list[Setting] = [how for how in allowed if not _faults(recipe, weight, how, default)]
    told = rule is not None and (rule.bits or rule.group_size)
    refused = fitting and not allowed  # a rule has fewer bits than `least:` wants
    return [*readable, *([] if told and (readable or refused) else [None])]


def _faults(recipe: Recipe, weight: TensorPlan, how: Quantization, default: Quantization) -> bool:
    tensor = replace(weight, quantization=how)
    return any(any(tensor_faults(LOADERS[name], tensor, default)) for name in recipe.dialects)


def allocated(recipe: Recipe, make: MakePlan, measurement: Path) -> Recipe:
    """The recipe with default settings and rules for its budget; itself if it has none.

    `measurement` is the file of what was measured. Raises PlanError if that is missing, FormatError, and the
    errors of `resolved`.
    """
    if recipe.budget is None:
        return recipe
    measured = read_measured(measurement)
    return resolved(recipe, make, costs_of(measured, candidates(recipe, matrices(plain_plan(recipe, make)))))


def resolved(recipe: Recipe, make: MakePlan, costs: Costs) -> Recipe:
    """The recipe with default settings and rules for its budget.

    Without `quantize:` if everything fits unquantized. Raises PlanError if the budget is below the smallest
    possible size, or if costs are missing.
    """
    assert recipe.budget is not None
    plain = plain_plan(recipe, make)
    weights = matrices(plain)
    settings = candidates(recipe, weights)
    choices = [[_option(weights[m], how, costs) for how in each] for m, each in settings.items()]
    others = plain.nbytes - sum(weight.nbytes for weight in weights.values())
    limit, headers = limit_of(recipe, plain), 0
    while True:
        chosen = _choose(recipe, choices, limit, others + headers)
        found = {m: each[i] for (m, each), i in zip(settings.items(), chosen, strict=True)}
        result = _quantized(recipe, _section(recipe, weights, found))
        if recipe.budget.bytes is None or (over := file_bytes(make(result)) - limit) <= 0:
            return result
        headers += over  # their sizes depend on the choice


def limit_of(recipe: Recipe, plain: Plan) -> int:
    """Bytes of tensor data, or of files, that a budget allows; `plain` is the plan without `quantize:`."""
    quantize = recipe.quantize
    assert quantize is not None and quantize.budget is not None
    budget = quantize.budget
    if budget.bytes is not None:
        return size_in_bytes(budget.bytes)
    if budget.budget is not None:
        return int(Decimal(str(budget.budget)) * plain.parameters / 8)
    one, nbytes = Quantization(quantize.mode, MODES[quantize.mode].bits[0], quantize.group_size), Decimal(0)
    for tensor in plain.tensors:
        if tensor.name.endswith(".weight") and one.fits(tensor.shape):
            packed, *rest = replace(tensor, quantization=one).outputs
            nbytes += Decimal(str(budget.average)) * packed.nbytes / one.bits + sum(t.nbytes for t in rest)
        else:
            nbytes += tensor.nbytes
    return int(nbytes)


def file_bytes(plan: Plan) -> int:
    """Bytes of a plan's weight files, with their headers."""
    shards = ([out for tensor in each for out in tensor.outputs] for each in plan.shards.values())
    return plan.nbytes + sum(len(header_bytes(outputs)) for outputs in shards)


def _option(weight: TensorPlan, how: Setting, costs: Costs) -> Option:
    if how is None:
        return Option(weight.nbytes, 0.0)
    if (cost := costs.get(weight.module, {}).get(how)) is None:
        raise PlanError(f"{weight.module}: not measured with {how.in_words}; measure again")
    return Option(replace(weight, quantization=how).nbytes, cost)


def _choose(recipe: Recipe, choices: list[list[Option]], limit: int, others: int) -> list[int]:
    """The options chosen if everything else takes `others` bytes. Raises PlanError."""
    assert recipe.budget is not None
    try:
        return cheapest(choices, limit - others)
    except TooSmallError as error:
        smallest = error.smallest + others
        raise PlanError(
            f"{recipe.name}.yaml: quantize.bits: {recipe.budget.in_words} is {limit:,} bytes, but the"
            f" smallest settings allowed take {smallest:,}; raise the limit, or allow fewer bits"
            " or larger groups"
        ) from error


def _quantized(recipe: Recipe, quantize: Quantize | None) -> Recipe:
    return recipe.model_copy(update={"quantize": quantize})


def _section(
    recipe: Recipe, weights: Mapping[str, TensorPlan], found: Mapping[str, Setting]
) -> Quantize | None:
    """The section that gives each module its setting; None: none is quantized."""
    asked = recipe.quantize
    assert asked is not None
    chosen = [how for how in found.values() if how]
    if not chosen:
        return None
    common = Counter(how.bits for how in chosen if how.group_size == asked.group_size)
    common = common or Counter(how.bits for how in chosen)
    bits = max(sorted(common), key=lambda width: common[width])
    default = Quantization(asked.mode, bits, asked.group_size, asked.search)
    rules = rules_for(default, found, {module: weight.shape for module, weight in weights.items()})
    return Quantize(**asdict(default), sequential=asked.sequential, rules=rules)

"""The plan of an artifact, computed from a recipe, a checkpoint's header and its params.json."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from voxbuild.console import some_of
from voxbuild.errors import PlanError
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import DTYPES, Recipe
from voxbuild.tensors.modes import Quantization
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import MISTRAL, Dialect
from voxrun.checkpoint.tensors import Tensor
from voxrun.model.voxtral import parameter_shapes


@dataclass(frozen=True)
class TensorPlan:
    """One tensor of the checkpoint, and how it is converted."""

    name: str
    """Canonical name: module path and leaf."""
    source: str
    """Name in the checkpoint."""
    shape: tuple[int, ...]
    """Shape after transposing, before quantization."""
    transpose: bool
    """Whether the axes 1 and 2 are swapped."""
    dtype: str
    """safetensors dtype it is cast to before quantization."""
    quantization: Quantization | None
    shard: int = 0

    @property
    def module(self) -> str:
        """The path without the leaf."""
        return self.name.rpartition(".")[0]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors to write, in the order of the file."""
        if self.quantization is None:
            return (Tensor(self.name, self.dtype, self.shape),)
        leaves = self.quantization.outputs(self.shape, self.dtype)
        return tuple(Tensor(f"{self.module}.{leaf}", *leaves[leaf]) for leaf in leaves)

    @property
    def nbytes(self) -> int:
        """Bytes of all outputs."""
        return sum(tensor.nbytes for tensor in self.outputs)


@dataclass(frozen=True)
class Plan:
    """Every output tensor of an artifact, and its config.json."""

    recipe: str
    tensors: tuple[TensorPlan, ...]
    config: Mapping[str, Any]

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return sum(Tensor(t.name, t.dtype, t.shape).size for t in self.tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of tensor data in all shards."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each parameter, including scales and biases."""
        return self.nbytes * 8 / self.parameters

    @property
    def shards(self) -> dict[str, list[TensorPlan]]:
        """File name -> its tensors."""
        count = 1 + max(tensor.shard for tensor in self.tensors)
        files: dict[str, list[TensorPlan]] = {shard_name(i, count): [] for i in range(count)}
        for tensor in self.tensors:
            files[shard_name(tensor.shard, count)].append(tensor)
        return files

    def index(self) -> dict[str, Any]:
        """The content of model.safetensors.index.json."""
        names = {o.name: f for f, ts in self.shards.items() for t in ts for o in t.outputs}
        sizes = {"total_size": self.nbytes, "total_parameters": self.parameters}
        return {"metadata": sizes, "weight_map": dict(sorted(names.items()))}

    def digest(self) -> str:
        """sha256 of everything in the plan; with the source it determines the bytes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def shard_name(number: int, count: int) -> str:
    """The file name of shard `number` (from 0) of `count`."""
    if count == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def make_plan(
    recipe: Recipe,
    header: Iterable[Tensor],
    params: Mapping[str, Any],
    dialect: Dialect = MISTRAL,
) -> Plan:
    """The plan of a recipe for a checkpoint with this header and these params.json keys.

    The artifact's tensors are sorted by their names in the checkpoint: safetensors files are written in this
    order, so the source can be read in one pass. Raises PlanError with the tensors that are unmatched,
    missing, doubled or misshapen; voxrun's ConfigError if params.json is incomplete.
    """
    found = _matched(header, dialect)
    _check_shapes(found, parameter_shapes(ModelConfig.from_dict(params, "params.json")), dialect)
    if recipe.quantize:
        _check_rules(recipe.name, recipe.quantize, _matrices(found, dialect))
    in_order = sorted(found.items(), key=lambda item: item[1].name)
    tensors = [_planned(recipe, name, tensor, dialect) for name, tensor in in_order]
    return Plan(recipe.name, _sharded(tensors, recipe.shards.max_bytes), _config(recipe, params, tensors))


def _matched(header: Iterable[Tensor], dialect: Dialect) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    unmatched = []
    for tensor in header:
        if tensor.name in dialect.ignored:
            continue
        name = dialect.canonical(tensor.name)
        if name is None:
            unmatched.append(tensor.name)
        elif name in found:
            raise PlanError(f"the checkpoint has {name} twice: as {found[name].name} and as {tensor.name}")
        else:
            found[name] = tensor
    if unmatched:
        raise PlanError(
            f"the checkpoint has tensors that {dialect.name} has no name for: {some_of(unmatched)}"
        )
    return found


def _check_shapes(
    found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], dialect: Dialect
) -> None:
    if missing := sorted(dialect.native(name) for name in wanted.keys() - found.keys()):
        raise PlanError(f"tensors are missing from the checkpoint: {some_of(missing)}")
    if extra := sorted(found[name].name for name in found.keys() - wanted.keys()):
        raise PlanError(f"the checkpoint has tensors that do not fit params.json: {some_of(extra)}")
    wrong = [
        f"{found[name].name} is {list(_result_shape(found[name], dialect.transposes(name)))},"
        f" but {list(shape)} by params.json"
        for name, shape in sorted(wanted.items())
        if _result_shape(found[name], dialect.transposes(name)) != shape
    ]
    if wrong:
        raise PlanError(f"tensors have the wrong shape: {some_of(wrong)}")


def _matrices(found: Mapping[str, Tensor], dialect: Dialect) -> dict[str, tuple[int, ...]]:
    """Module path -> shape of each weight."""
    return {
        name.removesuffix(".weight"): _result_shape(tensor, dialect.transposes(name))
        for name, tensor in found.items()
        if name.endswith(".weight")
    }


def _check_rules(recipe: str, quantize: Quantize, modules: Mapping[str, tuple[int, ...]]) -> None:
    """Raises PlanError for a rule, or a whole section, without effect: it is probably mistaken."""
    for rule in quantize.rules:
        if not any(map(rule.matches, modules)):
            raise PlanError(f"{recipe}.yaml: no module matches the rule with match {rule.match}")
    planned = {path: _fitting(quantize, path, shape) for path, shape in modules.items()}
    deciding = [quantize.rule_for(path) for path in modules]
    for number, rule in enumerate(quantize.rules):
        others = quantize.without(number)
        if not any(rule is other for other in deciding):
            why = "rules before it decide for all its modules; move it up, or remove it"
        elif all(_fitting(others, path, shape) == planned[path] for path, shape in modules.items()):
            why = "without it all is the same; change it, or remove it"
        else:
            continue
        where = f"{recipe}.yaml: quantize.rules: number {number + 1}, with match {rule.match},"
        raise PlanError(f"{where} has no effect: {why}")
    if not any(planned.values()):
        raise PlanError(
            f"{recipe}.yaml: quantize: applies to no module: no row is whole groups of"
            f" {quantize.group_size}, or rules skip all; change it, or leave it out for unquantized weights"
        )


def _fitting(quantize: Quantize, path: str, shape: tuple[int, ...]) -> Quantization | None:
    """How the weight of a module is quantized; None: it is skipped, or does not fit."""
    how = quantize.for_module(path)
    return how if how and how.fits(shape) else None


def _result_shape(tensor: Tensor, transpose: bool) -> tuple[int, ...]:
    if not transpose or len(tensor.shape) != 3:
        return tensor.shape
    a, b, c = tensor.shape
    return a, c, b


def _planned(recipe: Recipe, name: str, tensor: Tensor, dialect: Dialect) -> TensorPlan:
    transpose = dialect.transposes(name)
    shape = _result_shape(tensor, transpose)
    module, _, leaf = name.rpartition(".")
    quantized = recipe.quantize if leaf == "weight" else None
    quantization = _fitting(quantized, module, shape) if quantized else None
    return TensorPlan(name, tensor.name, shape, transpose, DTYPES[recipe.dtype], quantization)


def _sharded(tensors: Sequence[TensorPlan], max_bytes: int) -> tuple[TensorPlan, ...]:
    """Fill one shard after the other; a tensor above the limit gets its own."""
    placed, shard, size = [], 0, 0
    for tensor in tensors:
        if size and size + tensor.nbytes > max_bytes:
            shard, size = shard + 1, 0
        size += tensor.nbytes
        placed.append(replace(tensor, shard=shard))
    return tuple(placed)


def _config(recipe: Recipe, params: Mapping[str, Any], tensors: Sequence[TensorPlan]) -> dict[str, Any]:
    """params.json's keys, and voxmlx's `quantization`: the default, and modules that differ, by path."""
    config = dict(params)
    if recipe.quantize:
        default = recipe.quantize.quantization
        differing = {
            t.module: t.quantization.as_config() if t.quantization else False
            for t in tensors
            if t.name.endswith(".weight")
            and (t.quantization or default.fits(t.shape))
            and (t.quantization is None or t.quantization.as_config() != default.as_config())
        }
        config["quantization"] = default.as_config() | differing
    return dict(sorted(config.items()))

"""The plan of an artifact, computed from a recipe, a checkpoint's header and its params.json."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from voxbuild.errors import PlanError
from voxbuild.recipes.loaders import JsonFile, sizes_of
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import DTYPES, Recipe
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.naming import Naming
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.config_formats import MISTRAL, format_of
from voxrun.checkpoint.dialects import Dialect
from voxrun.checkpoint.tensors import Tensor

from .matching import match_tensors, result_shape


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
    head_rows: int = 0
    """Rows of each head whose two halves are interleaved (contract, sizes); 0: rows keep their order."""
    merged: bool = False
    """Whether an adapter changes it."""

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
    sequential: bool = False
    """Whether each matrix is rounded behind others that are quantized already."""

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
        """sha256 of everything in the plan; with the source it determines the bytes.

        Transforms that a tensor does not need are left out, so that a new one changes no other digest.
        """
        content = asdict(self)
        if not self.sequential:
            del content["sequential"]
        for tensor in content["tensors"]:
            for name in ("head_rows", "merged"):
                if not tensor[name]:
                    del tensor[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def shard_name(number: int, count: int) -> str:
    """The file name of shard `number` (from 0) of `count`."""
    if count == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def make_plan(
    recipe: Recipe,
    header: Sequence[Tensor],
    params: Mapping[str, Any],
    merged: Collection[str] = (),
    origin: str = "params.json",
) -> Plan:
    """The plan of a recipe for a checkpoint with this header and the keys of the configuration file `origin`.

    The header may be in any dialect; `merged` are the modules (canonical) that an adapter changes. The
    artifact's tensors have the header's order, in which the source can be read in one pass. Raises PlanError
    with the tensors that are unmatched, missing, doubled, misshapen or not floats; voxrun's ConfigError if
    the configuration is incomplete.
    """
    if recipe.budget:
        raise PlanError(f"{recipe.name}.yaml: who gets how many bits is not decided; see `doit allocate`")
    config = ModelConfig.from_dict(params, origin)
    if config.quantization:
        raise PlanError("the checkpoint is quantized already; start from the unquantized one")
    naming, found = match_tensors(header, config, origin)
    if recipe.quantize:
        _check_rules(recipe.name, recipe.quantize, _matrices(found, naming.dialect))
    tensors = [_planned(recipe, name, tensor, naming, config, merged) for name, tensor in found.items()]
    sharded = _sharded(tensors, recipe.shards.max_bytes)
    sequential = recipe.quantize is not None and recipe.quantize.sequential
    return Plan(recipe.name, sharded, _config(recipe, params, config, tensors), sequential)


def _matrices(found: Mapping[str, Tensor], dialect: Dialect) -> dict[str, tuple[int, ...]]:
    """Module path -> shape of each weight."""
    return {
        name.removesuffix(".weight"): result_shape(tensor, dialect.transposes(name))
        for name, tensor in found.items()
        if name.endswith(".weight")
    }


def _check_rules(recipe: str, quantize: Quantize, modules: Mapping[str, tuple[int, ...]]) -> None:
    """Raises PlanError for a rule, or a whole section, without effect: it is probably mistaken."""
    for rule in quantize.rules:
        if not any(map(rule.matches, modules)):
            raise PlanError(f"{recipe}.yaml: no module matches the rule with match {rule.match}")
    planned = {path: fitting(quantize, path, shape) for path, shape in modules.items()}
    decided: dict[int, list[str]] = {}
    for path in modules:
        if (number := quantize.rule_number(path)) is not None:
            decided.setdefault(number, []).append(path)
    for number, rule in enumerate(quantize.rules):
        others = quantize.without(number)
        if number not in decided:
            why = "rules before it decide for all its modules; move it up, or remove it"
        elif all(fitting(others, path, modules[path]) == planned[path] for path in decided[number]):
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


def fitting(quantize: Quantize, path: str, shape: tuple[int, ...]) -> Quantization | None:
    """How the weight of a module is quantized; None: it is skipped, or does not fit."""
    how = quantize.for_module(path)
    return how if how and how.fits(shape) else None


def _planned(
    recipe: Recipe,
    name: str,
    tensor: Tensor,
    naming: Naming,
    config: ModelConfig,
    merged: Collection[str],
) -> TensorPlan:
    transpose = naming.dialect.transposes(name)
    shape = result_shape(tensor, transpose)
    module, _, leaf = name.rpartition(".")
    quantized = recipe.quantize if leaf == "weight" else None
    quantization = fitting(quantized, module, shape) if quantized else None
    return TensorPlan(
        name,
        tensor.name,
        shape,
        transpose,
        DTYPES[recipe.dtype],
        quantization,
        head_rows=naming.dialect.permuted_heads(name, config),
        merged=leaf == "weight" and module in merged,
    )


def _sharded(tensors: Sequence[TensorPlan], max_bytes: int) -> tuple[TensorPlan, ...]:
    """Fill one shard after the other; a tensor above the limit gets its own."""
    placed, shard, size = [], 0, 0
    for tensor in tensors:
        if size and size + tensor.nbytes > max_bytes:
            shard, size = shard + 1, 0
        size += tensor.nbytes
        placed.append(replace(tensor, shard=shard))
    return tuple(placed)


def _config(
    recipe: Recipe, params: Mapping[str, Any], sizes: ModelConfig, tensors: Sequence[TensorPlan]
) -> dict[str, Any]:
    """Mistral's params.json, and voxmlx's `quantization`: the default, and modules that differ."""
    config = dict(params) if format_of(params) is MISTRAL else _mistrals(sizes)
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


def _mistrals(config: ModelConfig) -> dict[str, Any]:
    """The content of params.json for these sizes."""
    sizes = sizes_of(config)
    return JsonFile(MISTRAL.fixed, {MISTRAL.path(size): size for size in sizes}).content(sizes)

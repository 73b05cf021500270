"""The plan of an artifact, computed from a recipe, a checkpoint's header and its params.json."""

import fnmatch
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from voxbuild.console import some_of
from voxbuild.errors import PlanError
from voxbuild.recipes.loaders import JsonFile, sizes_of
from voxbuild.recipes.recipe import DTYPES, Recipe
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.naming import Naming, naming_of, stray_prefix
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.config_formats import MISTRAL, format_of
from voxrun.checkpoint.dialects import DIALECTS
from voxrun.checkpoint.tensors import Tensor
from voxrun.messages import sentence
from voxrun.model.voxtral import parameter_shapes

EMBEDDING = "language_model.embed_tokens.weight"
PACKED = ("scales", "biases")
"""Leaves of quantized modules."""


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


FLOATS = ("BF16", "F16", "F32", "F64")
"""The dtypes of a source that are converted."""
FP8 = ("F8_E4M3", "F8_E5M2", "F8_E8M0")


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
    config = ModelConfig.from_dict(params, origin)
    if config.quantization:
        raise PlanError("the checkpoint is quantized already; start from the unquantized one")
    naming = naming_of(tensor.name for tensor in header)
    found = _matched(header, naming)
    _check_dtypes(found.values())
    _check_shapes(found, parameter_shapes(config), naming, origin)
    _check_rules(recipe, {name.rpartition(".")[0] for name in found})
    tensors = [_planned(recipe, name, tensor, naming, config, merged) for name, tensor in found.items()]
    sharded = _sharded(tensors, recipe.shards.max_bytes)
    return Plan(recipe.name, sharded, _config(recipe, params, config, tensors))


def _matched(header: Iterable[Tensor], naming: Naming) -> dict[str, Tensor]:
    """Canonical name -> tensor, in the header's order, without heads."""
    found: dict[str, Tensor] = {}
    unmatched = []
    for tensor in header:
        if naming.is_head(tensor.name):
            continue
        name = naming.canonical(tensor.name)
        if name is None:
            unmatched.append(tensor.name)
        elif name in found:
            both = f"{sentence(found[name].name)} and as {sentence(tensor.name)}"
            raise PlanError(f"the checkpoint has {name} twice: as {both}")
        else:
            found[name] = tensor
    if unmatched or not found:
        raise PlanError(_unknown(unmatched, naming, found))
    return found


def _unknown(unmatched: list[str], naming: Naming, found: Mapping[str, Tensor]) -> str:
    some = some_of(list(map(sentence, unmatched)))
    if not found:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        return (
            f"not a Voxtral Realtime checkpoint: none of its tensors has a name of {known}: {some or 'none'}"
        )
    hint = "they are not part of this model; save the model without them"
    if prefix := stray_prefix(unmatched, naming):
        hint = f"they begin with `{prefix}`, the others do not; rename them alike"
    elif any(name.rpartition(".")[2] in PACKED for name in unmatched):
        hint = "these belong to quantized weights; start from the unquantized checkpoint"
    return f"the checkpoint has tensors that {naming.dialect.name} has no name for: {some}; {hint}"


def _check_dtypes(tensors: Iterable[Tensor]) -> None:
    """Raises PlanError for tensors that are not floats of a known size, by name."""
    wrong = [tensor for tensor in tensors if tensor.dtype not in FLOATS]
    if not wrong:
        return
    some = some_of([f"{sentence(tensor.name)} has {tensor.dtype}" for tensor in wrong])
    if any(tensor.dtype in FP8 for tensor in wrong):
        hint = "8-bit floats need scales, which are not applied here; save the model in bfloat16"
    else:
        hint = "integers are no weights, or packed ones; start from the unquantized checkpoint"
    raise PlanError(f"only {', '.join(FLOATS)} are converted: {some}; {hint}")


def _check_shapes(
    found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], naming: Naming, origin: str
) -> None:
    transposes = naming.dialect.transposes
    if missing := sorted(naming.native(name) for name in wanted.keys() - found.keys()):
        raise PlanError(f"tensors are missing from the checkpoint: {some_of(missing)}")
    if extra := sorted(found[name].name for name in found.keys() - wanted.keys()):
        raise PlanError(f"the checkpoint has tensors that do not fit {origin}: {some_of(extra)}")
    wrong = [
        f"{found[name].name} is {list(_result_shape(found[name], transposes(name)))},"
        f" but {list(shape)} by {origin}"
        for name, shape in sorted(wanted.items())
        if _result_shape(found[name], transposes(name)) != shape
    ]
    if wrong:
        raise PlanError(f"tensors have the wrong shape: {some_of(wrong)}")


def _check_rules(recipe: Recipe, modules: Iterable[str]) -> None:
    """Raises PlanError for a rule that matches no module: it is probably mistyped."""
    for rule in recipe.quantize.rules if recipe.quantize else ():
        if not fnmatch.filter(modules, rule.match):
            raise PlanError(f"{recipe.name}.yaml: no module matches the rule with match {rule.match}")


def _result_shape(tensor: Tensor, transpose: bool) -> tuple[int, ...]:
    if not transpose or len(tensor.shape) != 3:
        return tensor.shape
    a, b, c = tensor.shape
    return a, c, b


def _planned(
    recipe: Recipe,
    name: str,
    tensor: Tensor,
    naming: Naming,
    config: ModelConfig,
    merged: Collection[str],
) -> TensorPlan:
    transpose = naming.dialect.transposes(name)
    shape = _result_shape(tensor, transpose)
    module, _, leaf = name.rpartition(".")
    quantization = recipe.quantize.for_module(module) if recipe.quantize else None
    if leaf != "weight" or (quantization and not quantization.fits(shape)):
        quantization = None
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

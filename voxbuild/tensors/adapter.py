"""A LoRA adapter in PEFT's two files, which are untrusted: checked against the model, read module by module.

The names of modules are those of any dialect, after PEFT's prefix; PEFT itself sees transformers' modules in
memory. B's rows are brought to our layout, so that it fits a base of any dialect whose rows are in ours.
"""

import math
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from voxbuild.console import some_of
from voxbuild.errors import CheckpointError
from voxrun.arrays import Array
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.tensors import Tensor
from voxrun.files.paths import is_file
from voxrun.messages import shown

from .adapter_config import CONFIG, MERGE_FIRST, Lora, read_config
from .checkpoint import ANY_DTYPE, Checkpoint
from .module_kinds import kind_of
from .naming import Naming, naming_of

WEIGHTS = "adapter_model.safetensors"
ADAPTER_FILES = (CONFIG, WEIGHTS)
FLOATS = ("F32", "F16", "BF16")
PREFIX = "base_model.model."
"""What PEFT puts before the paths of modules."""
FACTOR = re.compile(r"(?P<path>.+)\.lora_(?P<factor>[AB])(?P<adapter>\.\w+)?\.weight", re.ASCII)
"""The name of a factor; a state that was saved without PEFT's help names the adapter too."""
TIED = re.compile(r"lora_embedding_|(^|\.)(embed_tokens|tok_embeddings|lm_head|output)\.")


@dataclass(frozen=True)
class Update:
    """What is added to one matrix: scale * b @ a."""

    a: Array
    """Float32 [rank, columns]."""
    b: Array
    """Float32 [rows, rank], its rows in our layout."""
    scale: float


Updates: TypeAlias = Mapping[str, Update]
"""Canonical path of a module -> the update of its matrix."""
NO_UPDATES: Updates = {}


@dataclass(frozen=True)
class Adapter:
    """What an adapter changes, and what documents say of it."""

    updates: Updates
    about: Mapping[str, Any] = field(default_factory=dict)
    """Count and kinds of the modules, ranks and alphas that occur, whether rsLoRA scales them."""


NO_ADAPTER = Adapter(NO_UPDATES)


@dataclass(frozen=True)
class Factors:
    """The entries of A and B of one module in the file."""

    path: str
    """PEFT's path of the module."""
    a: Tensor
    b: Tensor
    scale: float


@dataclass(frozen=True)
class Layout:
    """How the adapter's modules are named and laid out, and the model that it must fit."""

    naming: Naming
    config: ModelConfig
    shapes: Mapping[str, tuple[int, ...]]


class StoredUpdates(Mapping[str, Update]):
    """The updates of an open file. Each is read when it is asked for, and not kept.

    So the memory is that of one module: at rank 16, 1 MB for the upstream's largest.
    """

    def __init__(self, file: Checkpoint, factors: Mapping[str, Factors], layout: Layout) -> None:
        self._file, self._factors, self._layout = file, factors, layout
        weakref.finalize(self, file.__exit__)

    def __getitem__(self, module: str) -> Update:
        """Raises CheckpointError if a value is not finite, or the file is truncated or has changed."""
        factors = self._factors[module]
        self._file.check_unchanged()
        a, b = self._values(factors.a), self._values(factors.b)
        b = self._layout.naming.dialect.inward(f"{module}.weight", b, self._layout.config)
        return Update(a, b, factors.scale)

    def __contains__(self, module: object) -> bool:
        return module in self._factors  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._factors)

    def __len__(self) -> int:
        return len(self._factors)

    def _values(self, tensor: Tensor) -> Array:
        """A tensor's values in float32."""
        from .quantize import cast, is_finite, to_rows  # slow: it compiles loops

        data = bytes(self._file.read(tensor.start, tensor.nbytes))
        values = cast(to_rows(data, tensor.dtype, tensor.shape), tensor.dtype, "F32")
        if not is_finite(values, "F32"):
            why = "has a value that is not finite; the adapter is damaged, or its training diverged"
            raise CheckpointError(f"{self._file.path}: {_named(tensor.name)} {why}")
        return values


def read_adapter(folder: Path, config: ModelConfig, known: list[int] | None = None) -> Adapter:
    """The adapter in a folder, checked against the model's sizes; `known`: the stamp its tensors must have.

    Only the header is read, and the updates when they are asked for. Raises CheckpointError if the adapter is
    damaged or changed, is no plain LoRA, or does not fit the model.
    """
    from voxrun.model.voxtral import parameter_shapes  # slow: it loads MLX

    lora = read_config(folder)
    path = folder / WEIGHTS
    if not is_file(path):
        pickled = " adapter_model.bin is not read, for loading it may run code: save it as safetensors."
        found = pickled if is_file(folder / "adapter_model.bin") else ""
        raise CheckpointError(f"{folder}: there is {CONFIG}, but no {WEIGHTS}.{found}".rstrip("."))
    file = Checkpoint(path, known, ANY_DTYPE)
    try:
        pairs = _pairs(file)
        layout = Layout(naming_of(f"{each}.weight" for each in pairs), config, parameter_shapes(config))
        factors = _placed(pairs, layout, lora, path)
        _check_targets(lora, pairs, layout, folder / CONFIG)
    except BaseException:
        file.__exit__()
        raise
    return Adapter(StoredUpdates(file, factors, layout), _about(factors, lora))


def _about(factors: Mapping[str, Factors], lora: Lora) -> dict[str, Any]:
    every = factors.values()
    return {
        "modules": len(factors),
        "kinds": sorted({kind_of(module) for module in factors}),
        "ranks": sorted({each.a.rows for each in every}),
        "alphas": sorted({lora.alpha(each.path) for each in every}),
        "rslora": lora.use_rslora,
    }


def _pairs(file: Checkpoint) -> dict[str, dict[str, Tensor]]:
    """PEFT's path of each module -> its tensors A and B. Raises CheckpointError."""
    pairs: dict[str, dict[str, Tensor]] = {}
    adapters = set()
    for name, tensor in file.tensors.items():
        match = FACTOR.fullmatch(name.removeprefix(PREFIX))
        if match is None or TIED.search(name):
            raise CheckpointError(f"{file.path}: {_not_merged(name)}")
        if tensor.dtype not in FLOATS:
            dtypes = ", ".join(FLOATS)
            raise CheckpointError(f"{file.path}: {_named(name)} is {tensor.dtype}; it must be {dtypes}")
        adapters.add(match["adapter"])
        pair = pairs.setdefault(match["path"], {})
        if pair.setdefault(match["factor"], tensor) is not tensor:
            raise CheckpointError(f"{file.path}: {_named(name)} is there twice")
    if not pairs:
        raise CheckpointError(f"{file.path}: it holds no tensors; nothing would be merged")
    if len(adapters) > 1:
        raise CheckpointError(f"{file.path}: it holds {len(adapters)} adapters; save the one to merge alone")
    return pairs


def _named(name: str) -> str:
    """A factor as messages name it: short enough to show the layer."""
    match = FACTOR.fullmatch(name.removeprefix(PREFIX))
    return f"lora_{match['factor']} of {shown(match['path'])}" if match else shown(name)


def _not_merged(name: str) -> str:
    """Why a tensor cannot be merged, and what to do."""
    if TIED.search(name):
        return (
            f"{_named(name)} changes the embedding or the head alone, but this architecture has one matrix"
            " for both; train without embed_tokens and lm_head in target_modules"
        )
    if name.endswith((".lora_a", ".lora_b")):
        return f"{_named(name)} is mlx-lm's layout; fuse the adapter there, and give the fused checkpoint"
    return f"{_named(name)} is no matrix lora_A or lora_B; {MERGE_FIRST}"


def _placed(
    pairs: Mapping[str, dict[str, Tensor]], layout: Layout, lora: Lora, origin: Path
) -> dict[str, Factors]:
    """Canonical path -> the factors, checked. Raises CheckpointError."""
    placed: dict[str, Factors] = {}
    for path, pair in pairs.items():
        try:
            module, shape = _matrix(path, layout)
            factors = _factors(path, pair, shape, lora)
        except ValueError as error:
            raise CheckpointError(f"{origin}: {error}") from error
        if module in placed:
            raise CheckpointError(f"{origin}: {shown(path)} is there twice, as {shown(placed[module].path)}")
        placed[module] = factors
    return placed


def _matrix(path: str, layout: Layout) -> tuple[str, tuple[int, ...]]:
    """The canonical path and the shape of the matrix at PEFT's path. Raises ValueError."""
    name = layout.naming.canonical(f"{path}.weight") or ""
    if (shape := layout.shapes.get(name)) is None:
        names = f"taken for names of {layout.naming.in_words}"
        raise ValueError(
            f"{shown(path)} is no module of this model ({names}); is the adapter of another one?"
        )
    if len(shape) != 2:
        raise ValueError(f"{shown(path)} is a convolution or a norm; {MERGE_FIRST}")
    return name.removesuffix(".weight"), shape


def _factors(path: str, pair: Mapping[str, Tensor], shape: tuple[int, ...], lora: Lora) -> Factors:
    """The factors of a matrix of this shape. Raises ValueError."""
    import numpy as np

    if missing := {"A", "B"} - pair.keys():
        raise ValueError(f"{shown(path)} has no lora_{min(missing)}; the adapter is incomplete")
    rank, scale = lora.rank(path), lora.scale(path)
    for factor, expected in (("A", (rank, shape[1])), ("B", (shape[0], rank))):
        found = pair[factor].shape
        if found != expected:
            wanted = f"{list(expected)} for rank {rank}, as {CONFIG} says"
            raise ValueError(
                f"lora_{factor} of {shown(path)} has the shape {list(found)} instead of {wanted}"
            )
    if not math.isfinite(np.float32(scale)) or not np.float32(scale):
        raise ValueError(f"{shown(path)} has the scale {scale:g}, which float32 cannot hold")
    return Factors(path, pair["A"], pair["B"], scale)


def _check_targets(lora: Lora, paths: Iterable[str], layout: Layout, origin: Path) -> None:
    """Raises CheckpointError unless the tensors are those of `target_modules`, where that is a list of names.

    A name that no module of the model has is harmless: such lists are copied from model to model.
    """
    if not isinstance(lora.target_modules, list):
        return
    paths, targets = list(paths), lora.target_modules
    if foreign := [path for path in paths if not any(_is_at_end(target, path) for target in targets)]:
        raise CheckpointError(f"{origin}: its target_modules do not name {some_of([*map(shown, foreign)])}")
    missing = [target for target in targets if not any(_is_at_end(target, path) for path in paths)]
    every = list(_all_paths(layout)) if missing else []
    if lost := [target for target in missing if any(_is_at_end(target, path) for path in every)]:
        where = f"but {WEIGHTS} has no tensors for it"
        raise CheckpointError(
            f"{origin}: it targets {some_of([*map(shown, lost)])}, {where}; it is incomplete"
        )


def _is_at_end(target: str, path: str) -> bool:
    return path == target or path.endswith(f".{target}")


def _all_paths(layout: Layout) -> Iterator[str]:
    """The dialect's paths of all matrices of the model."""
    for name, shape in layout.shapes.items():
        if len(shape) == 2 and name.endswith(".weight"):
            yield from layout.naming.dialect.native_modules(name.removesuffix(".weight"))

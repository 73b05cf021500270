"""From a folder to a model, strictly: every tensor must be there, known, and of the right shape."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import VOXMLX
from voxrun.checkpoint.layout import Layout
from voxrun.checkpoint.quantization import module_settings
from voxrun.checkpoint.tensors import map_file
from voxrun.device import activation_dtype, mx, nn, own_kernels, set_limits, tree_flatten
from voxrun.errors import ConfigError, WeightsError

from .cpu import layers
from .voxtral import VoxtralRealtime

NAMES_SHOWN = 5


def load_model(folder: Path) -> VoxtralRealtime:
    """Read configuration and weights, in any of the known dialects. Raises ConfigError, WeightsError."""
    layout = Layout(folder)
    config, tensors = _read(layout)
    if own_kernels():
        return assemble(config, tensors, str(folder), _mapped(layout, config))
    model = assemble(config, tensors, str(folder))
    del tensors  # or the matrices would stay in memory beside the fused ones
    model.fuse()
    return model


def assemble(
    config: ModelConfig, tensors: Mapping[str, mx.array], origin: str, mapped: Mapping[str, Any] | None = None
) -> VoxtralRealtime:
    """A model with these canonically named tensors.

    `mapped` are the same tensors as NumPy arrays in mapped files, which our kernels use without a copy.
    Raises WeightsError naming the tensors that do not fit, ConfigError for a quantization unknown to MLX.
    """
    model = VoxtralRealtime(config)
    _quantize_like(model, config.quantization, tensors, origin)
    _check(model, tensors, origin)
    if mapped:
        layers.map_layers(model, tensors, mapped)
    parameters = dict(tree_flatten(model.parameters()))
    model.load_weights([(name, tensors[name]) for name in parameters])
    model.compute_in(activation_dtype(tensors["language_model.norm.weight"].dtype))
    mx.eval(model.parameters())
    model.eval()
    set_limits()
    return model


def read_folder(folder: Path) -> tuple[ModelConfig, dict[str, mx.array]]:
    """A folder's sizes, and its tensors in our layout, not yet read into memory.

    The names of tensors, and the quantization's paths, are canonical. Raises ConfigError, WeightsError.
    """
    return _read(Layout(folder))


def _read(layout: Layout) -> tuple[ModelConfig, dict[str, mx.array]]:
    headers, config, ours = layout.headers, layout.config, layout.dialect.canonical_module
    quantization = {ours(path) or path: entry for path, entry in config.quantization.items()}
    stored: dict[str, mx.array] = {}
    for path in headers:
        try:
            shard = _lazily(path)
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
        assert isinstance(shard, dict)
        stored |= shard
    return replace(config, quantization=quantization), _canonical(stored, layout, config)


def _lazily(path: Path) -> Any:
    """A file's tensors, not yet read. MLX takes a name in UTF-8 only; /dev/fd names a file of any other."""
    try:
        return mx.load(os.fsencode(path).decode("utf-8"))
    except UnicodeDecodeError:
        with path.open("rb") as file:
            return mx.load(f"/dev/fd/{file.fileno()}", format="safetensors")


def _mapped(layout: Layout, config: ModelConfig) -> dict[str, Any]:
    """The same tensors in mapped files; only those that our layout has in another order are copied."""
    stored: dict[str, Any] = {}
    for path, header in layout.headers.items():
        stored |= map_file(path, header)
    return _canonical(stored, layout, config)


def _canonical(stored: Mapping[str, mx.array], layout: Layout, config: ModelConfig) -> dict[str, mx.array]:
    dialect, tensors = layout.dialect, dict[str, mx.array]()
    for name, tensor in stored.items():
        if name in dialect.ignored:
            continue
        known = dialect.canonical(name)
        canonical = known or name  # an unknown name is reported as unexpected
        if canonical in tensors or (known is None and VOXMLX.canonical(name)):
            raise WeightsError(
                f"{layout.folder}: {name} is another dialect's or a second name, beside {dialect.name}'s"
            )
        try:
            tensors[canonical] = dialect.inward(canonical, tensor, config)
        except (ValueError, IndexError):
            tensors[canonical] = tensor  # reported as misshapen
    return tensors


def _quantize_like(
    model: VoxtralRealtime,
    quantization: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    origin: str,
) -> None:
    """Quantize the modules that have scales, with the settings of config.json.

    Raises ConfigError, WeightsError.
    """

    def settings(path: str, module: nn.Module) -> bool | dict[str, Any]:
        if f"{path}.scales" not in tensors:
            return False
        chosen = module_settings(quantization, path)
        if chosen is None:
            return False  # its scales are reported as unexpected
        if not chosen:
            raise WeightsError(f"{origin}: {path} is quantized, but config.json does not say how")
        return chosen

    try:
        nn.quantize(model, class_predicate=settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: quantization in config.json cannot be used ({error})") from error


def _check(model: VoxtralRealtime, tensors: Mapping[str, mx.array], origin: str) -> None:
    wanted: dict[str, mx.array] = dict(tree_flatten(model.parameters()))
    both = wanted.keys() & tensors.keys()
    faults = _listed("missing", wanted.keys() - tensors.keys())
    faults += _listed("unexpected", tensors.keys() - wanted.keys())
    for fault, of in (("misshapen", lambda tensor: str(tensor.shape)), ("of the wrong type", _kind)):
        pairs = {name: (of(tensors[name]), of(wanted[name])) for name in both}
        wrong = {f"{name} {a} instead of {b}" for name, (a, b) in pairs.items() if a != b}
        faults += _listed(fault, wrong)
    if faults:
        raise WeightsError(f"{origin}: the tensors do not fit the configuration: {'; '.join(faults)}")


def _kind(tensor: mx.array) -> str:
    """The type as far as it must match: floating types may differ, packed weights may not."""
    if mx.issubdtype(tensor.dtype, mx.floating):
        return "floating"
    return str(tensor.dtype).removeprefix("mlx.core.")


def _listed(kind: str, names: set[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(sorted(names)[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return [f"{len(names)} {kind} ({shown}{more})"]

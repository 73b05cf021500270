"""From a folder on disk to a model, strictly: every tensor is there, known, and of the right shape."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .config import MISTRAL_WEIGHTS, ModelConfig, read_json
from .device import activation_dtype, mx, nn
from .dialects import recognise
from .errors import ConfigError, WeightsError
from .model import VoxtralRealtime, shapes_of

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
NAMES_SHOWN = 5


def load_model(folder: Path) -> VoxtralRealtime:
    """Read configuration and weights: voxbuild's or voxmlx's artifacts, or Mistral's original files.

    Raises ConfigError, WeightsError.
    """
    config = ModelConfig.from_folder(folder)
    return assemble(config, read_tensors(folder), str(folder))


def assemble(config: ModelConfig, tensors: Mapping[str, mx.array], origin: str) -> VoxtralRealtime:
    """A model with these canonically named tensors. Raises WeightsError naming those that do not fit.

    Raises ConfigError if the configuration's quantization is none that MLX knows.
    """
    model = VoxtralRealtime(config)
    _quantize_like(model, config.quantization, tensors, origin)
    _check(model, tensors, origin)
    model.load_weights(list(tensors.items()))
    model.compute_in(activation_dtype(tensors["language_model.norm.weight"].dtype))
    mx.eval(model.parameters())
    model.eval()
    return model


def read_tensors(folder: Path) -> dict[str, mx.array]:
    """All tensors of a folder under canonical names, not yet read into memory. Raises WeightsError."""
    raw: dict[str, mx.array] = {}
    for path in _files(folder):
        try:
            shard = mx.load(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(f"{path}: not a readable safetensors file ({error})") from error
        assert isinstance(shard, dict)
        raw |= shard
    dialect = recognise(raw)
    tensors: dict[str, mx.array] = {}
    for name, tensor in raw.items():
        if name in dialect.ignored:
            continue
        canonical = dialect.canonical(name) or name  # an unknown name is reported as unexpected
        tensors[canonical] = tensor.swapaxes(1, 2) if dialect.transposes(canonical) else tensor
    return tensors


def _files(folder: Path) -> list[Path]:
    if (folder / MISTRAL_WEIGHTS).is_file():
        return [folder / MISTRAL_WEIGHTS]
    if (folder / INDEX).is_file():
        try:
            names = set(read_json(folder / INDEX)["weight_map"].values())
            paths = sorted(folder / name for name in names)
        except (ConfigError, KeyError, AttributeError, TypeError) as error:
            raise WeightsError(f"{folder / INDEX}: no readable weight_map ({error})") from error
    else:
        paths = [folder / SINGLE] if (folder / SINGLE).is_file() else []
    if not paths:
        raise WeightsError(f"{folder}: none of {INDEX}, {SINGLE}, {MISTRAL_WEIGHTS} is there")
    for path in paths:
        if not path.is_file():
            raise WeightsError(f"{path}: the file is missing, though {INDEX} names it")
    return paths


def _quantize_like(
    model: VoxtralRealtime,
    quantization: Mapping[str, Any],
    tensors: Mapping[str, mx.array],
    origin: str,
) -> None:
    """Quantize the modules that have scales on disk, each as config.json says for its path.

    Raises ConfigError, WeightsError.
    """
    default = {k: quantization[k] for k in ("group_size", "bits", "mode") if k in quantization}

    def settings(path: str, module: nn.Module) -> bool | dict[str, Any]:
        if f"{path}.scales" not in tensors:
            return False
        own = quantization.get(path)
        chosen: dict[str, Any] = default | (own if isinstance(own, dict) else {})
        if not chosen:
            raise WeightsError(f"{origin}: {path} is quantized, but config.json does not say how")
        return {"mode": "affine"} | chosen

    try:
        nn.quantize(model, class_predicate=settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin}: quantization in config.json cannot be used ({error})") from error


def _check(model: VoxtralRealtime, tensors: Mapping[str, mx.array], origin: str) -> None:
    wanted = shapes_of(model)
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    faults = _listed("missing", wanted.keys() - found.keys())
    faults += _listed("unexpected", found.keys() - wanted.keys())
    faults += _listed(
        "misshapen",
        {
            f"{name} {found[name]} instead of {wanted[name]}"
            for name in wanted.keys() & found.keys()
            if wanted[name] != found[name]
        },
    )
    if faults:
        raise WeightsError(f"{origin}: the tensors do not fit the configuration: {'; '.join(faults)}")


def _listed(kind: str, names: set[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(sorted(names)[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return [f"{len(names)} {kind} ({shown}{more})"]

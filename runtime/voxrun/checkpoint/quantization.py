"""What config.json says of quantized weights: defaults, and entries of their own for some modules."""

from collections.abc import Mapping
from typing import Any

from voxrun.errors import ConfigError
from voxrun.messages import shown

LIMITS = {"bits": 16, "group_size": 1024}
SETTINGS = ("group_size", "bits", "mode")


def check_quantization(quantization: Any, origin: str) -> None:
    """Raises ConfigError for implausible values; which of them go together, only MLX knows."""
    if not isinstance(quantization, Mapping):
        raise ConfigError(f"{origin}: quantization is {shown(quantization)}, not an object")
    for entry in (quantization, *(own for own in quantization.values() if isinstance(own, Mapping))):
        for key, most in LIMITS.items():
            value = entry.get(key, 1)
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(
                    f"{origin}: quantization has {key} {shown(value)}, where 1 to {most} belong"
                )
        if not isinstance(entry.get("mode", ""), str):
            raise ConfigError(f"{origin}: quantization has the mode {shown(entry['mode'])}")


def module_settings(quantization: Mapping[str, Any], module: str) -> dict[str, Any] | None:
    """The group_size, bits and mode of a module that has scales; empty if nothing is said of it.

    None if its own entry is false: it is not quantized. An entry without a mode means affine, whatever the
    mode of the defaults is: so MLX reads it.
    """
    own = quantization.get(module)
    if own is False:
        return None
    default = {key: quantization[key] for key in SETTINGS if key in quantization}
    chosen = default | {"mode": "affine"} | own if isinstance(own, dict) else default
    return {"mode": "affine"} | chosen if chosen else {}

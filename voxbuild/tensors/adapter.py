"""LoRA adapters: placeholder on this branch until the real module is merged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
Update = Any
Updates = Mapping[str, Any]
NO_UPDATES: Updates = {}


@dataclass(frozen=True)
class Adapter:
    """Placeholder."""

    updates: Updates
    about: Mapping[str, Any] = field(default_factory=dict)


NO_ADAPTER = Adapter({})


def read_adapter(folder: Path, config: Any) -> Adapter:
    """Placeholder."""
    raise NotImplementedError


def merge(rows: Any, first: int, update: Any) -> Any:
    """Placeholder."""
    raise NotImplementedError

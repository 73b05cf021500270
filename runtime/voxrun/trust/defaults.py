"""The model and the local registry if nothing else is said. Light, for `voxrun --help` imports it."""

from pathlib import Path

DEFAULT_MODEL = "mlx-community/Voxtral-Mini-4B-Realtime-6bit"
DEFAULT_REGISTRY = Path("out/registry")
"""Below the current folder: where `doit publish` writes."""
REGISTRY_VARIABLE = "VOXRUN_REGISTRY"
"""Environment variable that names another one."""

"""The model and the local registry if nothing else is said. Light, for `voxrun --help` imports it."""

DEFAULT_MODEL = "mlx-community/Voxtral-Mini-4B-Realtime-6bit"
DEFAULT_REGISTRY = "out/registry"
"""Below the current folder: where `doit publish` writes."""
REGISTRY_VARIABLE = "VOXRUN_REGISTRY"
"""Environment variable that names another one."""

"""Where the local registry is if nothing else is said. Light, for `voxrun --help` imports it."""

from pathlib import Path

DEFAULT_REGISTRY = Path("out/registry")
"""Below the current folder: where `doit publish` writes."""
REGISTRY_VARIABLE = "VOXRUN_REGISTRY"
"""Environment variable that names another one."""

"""voxbuild: from an upstream checkpoint to published MLX artifacts, by declarative recipes."""

__version__ = "0.1.0"

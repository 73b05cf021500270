"""The versions that an artifact's bytes or its transcripts may depend on."""

from functools import cache
from importlib.metadata import version as find_version

import voxrun
from voxbuild import __version__


@cache
def version(library: str) -> str:
    """The version of an installed library. To find it takes milliseconds, and each task asks for several."""
    return find_version(library)


def tool_versions() -> dict[str, str]:
    """The versions that an artifact's bytes may depend on."""
    return {"voxbuild": __version__, **{name: version(name) for name in ("mlx", "numba", "numpy")}}


def runtime_versions() -> dict[str, str]:
    """The versions that transcripts and their scores may depend on."""
    libraries = ("mlx", "numpy", "mistral-common", "soundfile", "soxr", "jiwer")
    return {"voxrun": voxrun.__version__, **{name: version(name) for name in libraries}}

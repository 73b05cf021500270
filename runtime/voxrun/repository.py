"""Where a model is: a folder, a repository of a local registry, or of the Hub, fetched once."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .config import ModelConfig
from .errors import ModelError, VoxrunError
from .manifest import read_manifest
from .tokenizer import TOKENIZER_FILE
from .weights import weight_files

FILES = ["*.safetensors", "model.safetensors.index.json", "config.json", "params.json", TOKENIZER_FILE]
COMMIT = re.compile("[0-9a-f]{40}")


def locate(
    model: str | Path, revision: str | None = None, registry: Path | None = None, whole: bool = False
) -> Path:
    """The folder of a model; a repository is fetched once into the cache: what is loaded, or all of it.

    Raises ModelError.
    """
    folder = Path(model)
    if registry is None and os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for too long a name
        return folder
    if str(model).count("/") != 1 or str(model).startswith((".", "/")):
        raise ModelError(f"{model}: no such folder, and no repository name like owner/name")
    import huggingface_hub
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    fetch = partial(
        huggingface_hub.snapshot_download,
        str(model),
        revision=revision,
        cache_dir=registry,
        allow_patterns=None if whole else FILES,
    )
    try:
        snapshot = _kept(fetch, revision, whole) or fetch(local_files_only=registry is not None)
    except LocalEntryNotFoundError as error:
        where = f"in the registry {registry}" if registry else "in the cache, nor can the Hub be reached"
        at = f" at {revision}" if revision else ""
        raise ModelError(f"{model}{at} is not {where}") from error
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: the Hub's answer, or none
        raise ModelError(f"{model}: {' '.join(str(error).split())}") from error
    return Path(snapshot)


def _kept(fetch: Callable[..., str], revision: str | None, whole: bool) -> str | None:
    """What the cache holds of a commit, if nothing is missing: commits do not change, nobody is asked."""
    if not COMMIT.fullmatch(revision or ""):
        return None
    try:
        folder = Path(fetch(local_files_only=True))
        complete = _is_whole(folder) if whole else _loads(folder)
    except (FileNotFoundError, VoxrunError):  # not there, or in part: a download was interrupted
        return None
    return str(folder) if complete else None


def _is_whole(folder: Path) -> bool:
    """Whether all is there that the manifest lists. Raises VoxrunError without one."""
    return all((folder / name).is_file() for name in read_manifest(folder))


def _loads(folder: Path) -> bool:
    """Whether all is there that is loaded. Raises VoxrunError if not."""
    ModelConfig.from_folder(folder)
    weight_files(folder)
    return (folder / TOKENIZER_FILE).is_file()

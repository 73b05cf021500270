"""Names of models that are no folder: which were meant as one, and which folder may have been meant."""

import os
import re
from pathlib import Path

from .defaults import DEFAULT_MODEL

REPOSITORY = r"[\w.-]+/[\w.-]+"
PATH = r"[./~]|[A-Za-z]:|.*[\\/]$|[^/]*\\"
"""How a path begins, or ends, and a repository's name does not."""
WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".npz")
"""Suffixes of files with weights."""
MOST_SHOWN = 5
"""Names of folders in a message; of more, only those like the mistyped one are shown."""
LITTLE_ALIKE = 0.4
"""How much of a name must be that of another to be shown beside others; 0.6 would be a mistyped one."""


def is_path(name: str, revision: str | None = None) -> bool:
    """Whether a name is meant as a path: by its form, or because a folder here has a name much like it.

    By its form only are: a name with a revision, behind it or given separately, for a folder has none; the
    default model; and a repository that is in the Hub's cache.
    """
    repo = name.partition("@")[0]
    if re.match(PATH, name) or repo.count("/") != 1:
        return True
    if revision is not None or repo == DEFAULT_MODEL:
        return False
    owner, _, model = repo.partition("/")
    return bool(_like(model, _folders(Path(owner)))) and not _is_cached(repo)


def _is_cached(repo: str) -> bool:
    """Whether the Hub's cache has something of a repository."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return os.path.isdir(os.path.join(HF_HUB_CACHE, f"models--{repo.replace('/', '--')}"))  # noqa: PTH112, PTH118


def complaint(name: str) -> str:
    """What is wrong with a path that is not a folder's, for a message."""
    if "://" in name:
        return f"{name}: a URL; a repository is named owner/name"
    if reason := a_file(name):
        return reason
    if not name:
        return "the name of the model is empty"
    if "/" not in name and not re.match(PATH, name):
        return f"{name}: no such folder, and no repository name like owner/name{suggestion(name)}"
    rest = suggestion(name)
    if re.fullmatch(REPOSITORY, name) and not re.match(PATH, name):
        rest += f"; if a repository of the Hub is meant: {name}@main"
    return f"{name}: no such folder{rest}"


def a_file(name: str) -> str | None:
    """Why a file is not what a model's name must be; None if there is no such file."""
    path = _expanded(name)
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    if name.lower().endswith(WEIGHTS):
        return f"{name}: is a file; name the model's folder, {path.parent}"
    return f"{name}: is a file, not the folder of a model"


def suggestion(name: str) -> str:
    """A question for the folder whose path is most like this one, else what is in the folder above it."""
    path = _expanded(name)
    found = _nearest(path)
    return f"; did you mean {found}?" if found else _content(path)


def _expanded(name: str) -> Path:
    """The path as a shell would expand it; of one that has a NUL character, no file has the name."""
    return Path(os.path.expanduser(name.replace("\\", "/")))  # noqa: PTH111 - that raises for ~nobody/


def _nearest(path: Path) -> Path | None:
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        alike = [part] if os.path.isdir(found / part) else _like(part, _folders(found))  # noqa: PTH112
        if not alike:
            return None
        found /= alike[0]
    return found if path.parts else None


def _like(name: str, names: list[str], most: int = 1, alike: float = 0.6) -> list[str]:
    """Those of these names that are most like a mistyped one, if any are."""
    from difflib import get_close_matches  # only a mistake needs it

    return get_close_matches(name, names, most, alike)


def _content(path: Path) -> str:
    """What the nearest folder above holds, unless that is the current one or the root."""
    above = next((each for each in path.parents if os.path.isdir(each)), Path())  # noqa: PTH112
    names = _folders(above) if above.name else []
    if len(names) > MOST_SHOWN:
        names = _like(path.relative_to(above).parts[0], names, MOST_SHOWN, LITTLE_ALIKE)
    return f"; in {above} there are {', '.join(names)}" if names else ""


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
    except (OSError, ValueError):
        return []

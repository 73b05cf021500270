"""Where a model is: a folder, or a repository of a local registry or of the Hub, downloaded once."""

import glob
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from voxrun.checkpoint.layout import PATTERNS, Layout
from voxrun.errors import ModelError, VoxrunError

from .defaults import DEFAULT_REGISTRY, REGISTRY_VARIABLE
from .manifest import MANIFEST, SIGNATURE, read_manifest
from .mistyped import complaint, is_path, suggestion
from .registry import COMMIT, LATEST, WITHDRAWN, Registry

PREFIX = "registry:"
OFFLINE = "; try again with a connection, or name the folder of a model"
log = logging.getLogger("voxrun")


def locate(
    model: str | Path, revision: str | None = None, registry: Path | None = None, whole: bool = False
) -> Path:
    """The folder of a model: that folder, `owner/name[@REVISION]`, or `registry:[owner/]name[@REVISION]`.

    `registry` is the only place where a repository is looked for; if it is None, `registry:` means
    VOXRUN_REGISTRY, or out/registry. A repository of the Hub is downloaded once into the cache: the files
    that are loaded, and with `whole` all that its manifest lists. A mistyped path is not sent to the Hub.
    Raises ModelError.
    """
    name = str(model)
    if name.startswith(PREFIX):
        registry = registry or Path(os.environ.get(REGISTRY_VARIABLE) or DEFAULT_REGISTRY)
    elif registry is None and _is_folder(name):
        return Path(name)
    repo, revision = _repo_and_revision(without_prefix(name), revision)
    if registry:
        return _in_registry(Path(registry), repo, revision)
    if is_path(name, revision):
        raise ModelError(complaint(name))
    return _on_hub(repo, revision, whole)


def in_registry(model: str | Path, registry: Path | None) -> bool:
    """Whether `locate` looks for the model in a registry."""
    return registry is not None or str(model).startswith(PREFIX)


def on_hub(model: str | Path, registry: Path | None) -> bool:
    """Whether `locate` looks for the model on the Hub."""
    return not in_registry(model, registry) and not _is_folder(str(model))


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for too long a name


def without_prefix(model: str) -> str:
    """A model's name without `registry:`."""
    return model.removeprefix(PREFIX)


def _repo_and_revision(name: str, revision: str | None) -> tuple[str, str | None]:
    """Split `NAME@REVISION`; the revision may be given there or as an option, not as both."""
    repo, at, said = name.partition("@")
    if at and not said:
        raise ModelError(f"{name}: a tag, branch or commit belongs behind the @")
    if said and revision not in (None, said):
        raise ModelError(f"{name} and --revision {revision} are two revisions: give one")
    return repo, said or revision


def _in_registry(folder: Path, name: str, revision: str | None) -> Path:
    """A snapshot in a local registry; if its tag was withdrawn, a warning is logged."""
    registry = Registry(folder)
    repo = registry.find(name)
    wanted = revision or LATEST
    commit = None if wanted.startswith(WITHDRAWN) else registry.commit(repo, wanted)
    if commit is None:
        tags = f"its tags: {', '.join(registry.tags(repo))}"
        if revision is None:
            raise ModelError(f"{repo} has no latest version in the registry {folder}: name a tag; {tags}")
        raise ModelError(f"{repo} at {revision} is not in the registry {folder}; {tags}")
    for tag, reason in registry.withdrawn_at(repo, commit).items():
        log.warning("%s at %s was withdrawn: %s", repo, tag, reason)
    return registry.snapshot(repo, commit)


def _on_hub(name: str, revision: str | None, whole: bool) -> Path:
    """A snapshot of a Hub repository, in the client's cache."""
    import huggingface_hub
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    fetch = partial(huggingface_hub.snapshot_download, name)
    try:
        snapshot = _kept(fetch, revision, whole) or _fetched(fetch, revision, whole)
    except LocalEntryNotFoundError as error:
        at = f" at {revision}" if revision else ""
        raise ModelError(
            f"{name}{at} is not in the cache, nor can the Hub be reached{suggestion(name) or OFFLINE}"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{name}: no such repository on the Hub, or a private or gated one; correct the name, or log in"
            f" with `hf auth login` (or HF_TOKEN) to an account with access{suggestion(name)}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name}: no revision {revision} on the Hub") from error
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: the Hub's answer, or none
        raise ModelError(f"{name}: {' '.join(str(error).split())}") from error
    return Path(snapshot)


def _fetched(fetch: Callable[..., str], revision: str | None, whole: bool) -> str:
    """The snapshot of a revision. Files that are neither loaded nor in the manifest are not downloaded."""
    if not whole:
        return fetch(revision=revision, allow_patterns=PATTERNS)
    folder = Path(fetch(revision=revision, allow_patterns=[*PATTERNS, MANIFEST, SIGNATURE]))
    if not (folder / MANIFEST).is_file():
        return str(folder)
    return fetch(revision=folder.name, allow_patterns=[glob.escape(name) for name in read_manifest(folder)])


def _kept(fetch: Callable[..., str], revision: str | None, whole: bool) -> str | None:
    """The cached snapshot of a commit, if it is complete: commits never change, so the Hub is not asked."""
    if not COMMIT.fullmatch(revision or ""):
        return None
    try:
        folder = Path(fetch(revision=revision, allow_patterns=PATTERNS, local_files_only=True))
        complete = _is_whole(folder) if whole else Layout(folder).is_complete
    except (FileNotFoundError, VoxrunError):  # absent, or an interrupted download
        return None
    return str(folder) if complete else None


def _is_whole(folder: Path) -> bool:
    """Whether all files of the manifest are there. Raises VoxrunError if there is no manifest."""
    return all((folder / name).is_file() for name in read_manifest(folder))

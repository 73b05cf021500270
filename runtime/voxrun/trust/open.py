"""The folder of a model, checked as far as was asked for, before anything in it is looked at."""

import logging
import os
from pathlib import Path

from voxrun.errors import TrustError

from .locate import locate, without_prefix
from .pin import Pin
from .proof import check

log = logging.getLogger("voxrun")


def trusted(
    model: str | Path,
    revision: str | None = None,
    registry: Path | None = None,
    verify: bool | str | Path = False,
    lock: str | Path | None = None,
) -> Path:
    """Find a model as `locate` does; check its hashes, with a key its signature, and that the lock pins it.

    `verify` is whether to check, or the path of a public key. What was proven goes to the log in one line.
    Load the folder itself, do not locate it again. Raises ModelError, ConfigError, WeightsError, TrustError,
    and TypeError if `verify` is something else: what was meant to be checked is never left unchecked.
    """
    key = _key(verify)
    if verify is False and lock is None:
        return locate(model, revision, registry)
    pin = None if lock is None else Pin.read(Path(lock))
    if pin and without_prefix(str(model)) == without_prefix(pin.model):
        revision = revision or pin.revision
    folder = locate(model, revision, registry, whole=True)
    if pin:
        pin.hold(folder, f"{lock}")  # hashes take longer
    log.info("%s", check(folder, key))
    return folder


def _key(verify: bool | str | Path) -> Path | None:
    if isinstance(verify, bool):
        return None
    if not isinstance(verify, str | os.PathLike):
        raise TypeError(f"verify is True, False or the path of a public key, not {type(verify).__name__}")
    if not os.fspath(verify):
        raise TrustError("verify is the path of a public key, and this one is empty")
    return Path(verify)


def pinned_model(lock: Path) -> str:
    """The repository, or folder, that a lock is of. Raises TrustError if it does not say where that lies."""
    pin = Pin.read(lock)
    if pin.revision is None and not Path(pin.model).is_dir():
        raise TrustError(
            f"{lock}: pins a folder {pin.model}, which is not in the current one; say where with --model"
        )
    return pin.model

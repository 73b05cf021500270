"""The folder of a model, checked as far as was asked for, before anything in it is looked at."""

import logging
from pathlib import Path

from .pin import Pin
from .proof import check
from .repository import locate

log = logging.getLogger("voxrun")


def trusted(
    model: str | Path,
    revision: str | None = None,
    registry: Path | None = None,
    verify: bool | Path = False,
    lock: Path | None = None,
) -> Path:
    """Find a model as `locate` does; check its hashes, with a key its signature, and that the lock pins it.

    What was proven goes to the log in one line. Raises ModelError, ConfigError, TrustError.
    """
    if not verify and lock is None:
        return locate(model, revision, registry)
    pin = Pin.read(lock) if lock else None
    if pin and str(model) == pin.model:
        revision = revision or pin.revision
    folder = locate(model, revision, registry, whole=True)
    if pin and lock:
        pin.hold(folder, lock)  # hashes take longer
    log.info("%s", check(folder, verify if isinstance(verify, Path) else None))
    return folder


def pinned_model(lock: Path) -> str:
    """The repository, or folder, that a lock is of. Raises TrustError."""
    return Pin.read(lock).model

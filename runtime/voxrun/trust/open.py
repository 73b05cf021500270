"""Find a model's folder and verify it as requested, before anything in it is loaded."""

import logging
import os
from pathlib import Path

from voxrun.errors import TrustError

from .locate import locate, on_hub, without_prefix
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
    """The folder of a model, found as by `locate`, and verified by hashes, signature and lock as requested.

    `verify` is a bool, or the path of a public key. The result of the check is logged in one line. Load this
    folder by its path: locating the model again might find another. Raises ModelError, ConfigError,
    WeightsError, TrustError, and TypeError if `verify` is anything else, rather than checking nothing.
    """
    key = _key(verify)
    if verify is False and lock is None:
        return locate(model, revision, registry)
    pin = None if lock is None else Pin.read(Path(lock))
    if pin and without_prefix(str(model)) == without_prefix(pin.model):
        revision = revision or pin.revision
    folder = locate(model, revision, registry, whole=True)
    if pin:
        pin.hold(folder, f"{lock}")  # before the hashes, which take longer
    log.info("%s", check(folder, key, shared=on_hub(model, registry)))
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
    """The repository or folder that a lock pins. Raises TrustError if it is a folder and not found here."""
    pin = Pin.read(lock)
    if pin.revision is None and not Path(pin.model).is_dir():
        raise TrustError(
            f"{lock}: pins a folder {pin.model}, which is not in the current one; give its path with --model"
        )
    return pin.model

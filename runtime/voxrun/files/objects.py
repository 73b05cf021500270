"""JSON objects in untrusted files: of known keys, and of a bounded size."""

from pathlib import Path
from typing import Any

from voxrun.errors import ConfigError, TrustError
from voxrun.messages import shown

from .paths import MAX_BYTES, StrictError, member, reason
from .strict import load, parse


def read_object(data: bytes, origin: str, limit: int = MAX_BYTES) -> dict[str, Any]:
    """A JSON object from bytes, parsed strictly. Raises TrustError."""
    if len(data) > limit:
        raise TrustError(f"{origin}: more than {limit:,} bytes, which is not plausible")
    try:
        value = parse(data)
    except StrictError as error:
        raise TrustError(f"{origin}: no readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise TrustError(f"{origin}: a JSON object was expected, not {type(value).__name__}")
    return value


def check_keys(value: Any, keys: set[str], origin: str) -> dict[str, Any]:
    """Return the value if it is an object of exactly these keys. Raises TrustError."""
    if not isinstance(value, dict) or value.keys() != keys:
        found = ", ".join(map(shown, sorted(value))) if isinstance(value, dict) else type(value).__name__
        raise TrustError(f"{origin}: {', '.join(sorted(keys))} were expected, not {found or 'none'}")
    return value


def read_json(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    """A JSON object from a file of at most `limit` bytes, parsed strictly. Raises ConfigError."""
    try:
        value = load(path, limit)
    except (OSError, StrictError) as error:
        raise ConfigError(f"{path}: {reason(error)}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a JSON object was expected, not {type(value).__name__}")
    return value


def read_member(folder: Path, name: str, limit: int = MAX_BYTES) -> dict[str, Any]:
    """The same from a file in a model's folder, unless a link leads out of it. Raises ConfigError."""
    try:
        return read_json(member(folder, name), limit)
    except StrictError as error:
        raise ConfigError(f"{folder / name}: {error}") from error

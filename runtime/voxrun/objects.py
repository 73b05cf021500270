"""The JSON documents that come with an artifact to be proven: objects of known keys, read without trust."""

from typing import Any

from .errors import TrustError
from .messages import shown
from .strict import MAX_BYTES, StrictError, parse


def read_object(data: bytes, origin: str, limit: int = MAX_BYTES) -> dict[str, Any]:
    """A JSON object, read by `strict`. Raises TrustError."""
    if len(data) > limit:
        raise TrustError(f"{origin}: more than {limit:,} bytes; this is no artifact's")
    try:
        value = parse(data)
    except StrictError as error:
        raise TrustError(f"{origin}: no readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise TrustError(f"{origin}: a JSON object was expected, not {type(value).__name__}")
    return value


def check_keys(value: Any, keys: set[str], origin: str) -> dict[str, Any]:
    """The same value, if it is an object of these very keys. Raises TrustError."""
    if not isinstance(value, dict) or value.keys() != keys:
        found = (
            ", ".join(shown(key) for key in sorted(value))
            if isinstance(value, dict)
            else type(value).__name__
        )
        raise TrustError(f"{origin}: {', '.join(sorted(keys))} were expected, not {found or 'none'}")
    return value

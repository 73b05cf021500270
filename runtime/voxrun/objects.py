"""JSON objects that are read without trust: one meaning or none."""

import json
from typing import Any

from .errors import TrustError

MOST = 2**24
"""Bytes of the longest JSON document that is read: hundreds of times what an artifact needs."""


def read_object(data: bytes, origin: str) -> dict[str, Any]:
    """A JSON object. Raises TrustError if it is none, is too long or too deep, or says a key twice."""
    if len(data) > MOST:
        raise TrustError(f"{origin}: more than {MOST:,} bytes; this is no artifact's")
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise TrustError(f"{origin}: no readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise TrustError(f"{origin}: a JSON object was expected, not {type(value).__name__}")
    return value


def check_keys(value: Any, keys: set[str], origin: str) -> dict[str, Any]:
    """The same value, if it is an object of these very keys. Raises TrustError."""
    if not isinstance(value, dict) or value.keys() != keys:
        found = ", ".join(sorted(value)) or "none" if isinstance(value, dict) else type(value).__name__
        raise TrustError(f"{origin}: {', '.join(sorted(keys))} were expected, not {found}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is there twice")
    return value


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number")

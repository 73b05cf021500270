"""Descriptions that came back from a target: JSON that somebody else may have written."""

import json
from typing import Any

from .errors import PublishError

LIMIT = 64 * 2**20
"""Bytes of a manifest or a validation report: more is none."""


def parsed(raw: bytes, origin: str) -> dict[str, Any]:
    """A JSON object. Raises PublishError."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PublishError(f"{origin}: no JSON ({error})") from error
    if not isinstance(value, dict):
        raise PublishError(f"{origin}: a JSON object was expected, not {type(value).__name__}")
    return value

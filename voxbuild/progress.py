"""Progress on stderr, for people who wait."""

from typing import Any

from tqdm import tqdm


def progress_bar(label: str, total: int, unit: str) -> Any:
    """A progress bar on stderr; none where that is no terminal."""
    return tqdm(total=total or None, desc=label, unit=unit, unit_scale=unit == "B", disable=None, leave=False)

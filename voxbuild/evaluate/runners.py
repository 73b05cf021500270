"""Where a grid is computed."""

from .jobs import Runner
from .local import Local


def runner_for(scheduler: str | None = None) -> Runner:
    """The runner of this process; with the address of a scheduler that of its cluster."""
    return Local()

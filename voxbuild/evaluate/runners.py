"""The runner that computes a grid."""

from .jobs import Runner
from .local import Local


def runner_for(scheduler: str | None = None) -> Runner:
    """This process."""
    return Local()

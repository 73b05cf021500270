"""The choice of what computes jobs: `scheduler=` on the command line names a cluster."""

from voxbuild.errors import ClusterError

from .jobs import Runner
from .local import Local

SCHEMES = ("tcp://", "tls://")


def runner_for(scheduler: str | None = None) -> Runner:
    """A Dask cluster, by the address of its scheduler; None: this process. Raises ClusterError."""
    if scheduler is None:
        return Local()
    check_address(scheduler)
    from .cluster import Cluster  # slow, and needed by few

    return Cluster(scheduler)


def check_address(scheduler: str) -> None:
    """Raises ClusterError if this is not the address of a scheduler."""
    if not scheduler.startswith(SCHEMES):
        raise ClusterError(
            f"scheduler={scheduler}: say scheduler=tcp://HOST:PORT or scheduler=tls://HOST:PORT"
        )

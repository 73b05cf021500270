"""The choice of what computes jobs: `scheduler=` on the command line names a cluster."""

from typing import TYPE_CHECKING

from voxbuild.errors import ClusterError

if TYPE_CHECKING:
    from .jobs import Runner

SCHEMES = ("tcp://", "tls://")


def runner_for(scheduler: str | None = None) -> "Runner":
    """A Dask cluster, by the address of its scheduler; None: this process. Raises ClusterError."""
    if scheduler is None:
        from .local import Local

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

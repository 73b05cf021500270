"""A connection to the scheduler of a Dask cluster."""

import asyncio
import logging
from typing import Any

from voxbuild.errors import ClusterError, one_line

CONNECT_SECONDS = 10


def connect(address: str) -> Any:
    """A client of the scheduler at an address. Raises ClusterError."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "scheduler= needs Dask, not installed here: pip install 'distributed>=2025.5'"
        ) from error
    for name in ("distributed", "distributed.client"):  # we tell what matters
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(_knock(address))  # a client that cannot connect would wait at the end of the process
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="voxbuild")
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the last two: TLS without its keys
        reason = one_line(error) or "it says nothing"
        raise ClusterError(
            f"{address}: no Dask scheduler answers there ({reason}); start one with `dask scheduler`"
        ) from error


async def _knock(address: str) -> None:
    """Connect and leave. Raises OSError, ValueError, TypeError, RuntimeError."""
    from distributed.comm.core import connect
    from distributed.security import Security

    secrets = Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_SECONDS + 1):  # Dask waits for ever for a server of another kind
        comm = await connect(address, CONNECT_SECONDS, **secrets)
    await comm.close()

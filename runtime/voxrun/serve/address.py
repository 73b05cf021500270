"""Where a server listens, and what is said of it."""

import errno
import logging
import os
import socket
from ipaddress import ip_address

from voxrun.errors import VoxrunError

from .settings import Settings

log = logging.getLogger("voxrun")
FREE = 0
"""A port: any that is free."""
REASONS = {
    errno.EADDRINUSE: "another program listens there; choose another --port, or 0 for a free one",
    errno.EACCES: "this user may not use the port; choose one from 1024 on",
    errno.EADDRNOTAVAIL: "this machine does not have the address; 0.0.0.0 is every one that it has",
}


def listening(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of a host name, at the same port. Raises VoxrunError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name"
        raise VoxrunError(f"--host {host}: is not found ({reason})") from error
    bound = list[socket.socket]()
    for family, _, _, _, (address, *_) in dict.fromkeys(found):
        try:
            bound.append(_bound(family, str(address), port))
        except OSError as error:
            for each in bound:
                each.close()
            reason = REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)
            raise VoxrunError(f"cannot listen at {url(str(address), port)}: {reason}") from error
        port = bound[0].getsockname()[1]  # the same one for all
    return bound


def _bound(family: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 has a socket of its own
        sock.bind((address, port))
        sock.listen(1)  # fails where SO_REUSEADDR has let two bind
    except BaseException:
        sock.close()
        raise
    return sock


def url(address: str, port: int) -> str:
    """What a browser opens to reach it; for all addresses of this machine, one that others can type, too."""
    ip = ip_address(address.partition("%")[0])
    if ip.is_unspecified:
        ip = ip_address(outward(ip.version == 6))
    return f"http://[{ip}]:{port}" if ip.version == 6 else f"http://{ip}:{port}"


def outward(six: bool = False) -> str:
    """The address of this machine on the way to others, else that for itself; nothing is sent."""
    family, other = (socket.AF_INET6, "2001:db8::1") if six else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((other, 9))
            return str(sock.getsockname()[0]).partition("%")[0]
    except OSError:  # no network
        return "::1" if six else "127.0.0.1"


def is_local(sockets: list[socket.socket]) -> bool:
    """Whether only this machine can reach them."""
    return all(ip_address(each.getsockname()[0].partition("%")[0]).is_loopback for each in sockets)


def warn_if_open(sockets: list[socket.socket], settings: Settings) -> None:
    """Say who can reach the server, if it is more than this machine."""
    if is_local(sockets):
        return
    port = sockets[0].getsockname()[1]
    if settings.keys:
        log.warning(
            "warning: other machines reach port %d; clients need a key, but it and what is said are sent in"
            " the clear: put a proxy with TLS before it, outside a network that you trust",
            port,
        )
    else:
        log.warning(
            "warning: everybody whose machine reaches port %d can use the server and read what it sends;"
            " require a key with --api-key-file",
            port,
        )

"""What the operator of a server chooses."""

from dataclasses import dataclass, field
from pathlib import Path

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """What one client can take of the server."""

    sessions: int = 64
    """Sessions at the same time, uploads included."""
    waiting_seconds: float = 30.0
    """Audio of a session that waits for the model; a client is not read while there is more."""
    message_bytes: int = 36 * MEGABYTE
    """A WebSocket message: 25 MiB of audio in base64."""
    upload_bytes: int = 1024 * MEGABYTE
    idle_seconds: float = 300.0
    """Without a message of a client, until its socket is closed."""
    connections: int = 2000
    """At the same time, whatever they are for."""
    head_seconds: float = 30.0
    """For a request to arrive, up to its body."""
    stuck_seconds: float = 30.0
    """In which a client takes nothing of what is sent to it, until its connection is cut."""


@dataclass(frozen=True)
class Settings:
    """A server."""

    folder: Path
    """Of the model, which has been found and verified."""
    name: str
    """The model's, for clients."""
    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys, one of which a client must have; empty: none is needed."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may use the server, beside its own; "*" is all."""
    delay_ms: float | None = None
    """Of sessions that ask for none; None is the model's own."""
    idle_unload: float | None = None
    """Minutes without a session until the model is unloaded."""
    grace: float = 30.0
    """Seconds for open sessions to finish after SIGTERM."""
    limits: Limits = field(default_factory=Limits)

"""What the server refuses: one error, which every protocol writes in its own form."""

from enum import StrEnum

from voxrun.errors import VoxrunError


class Kind(StrEnum):
    """Why something is refused."""

    INVALID_JSON = "invalid_json"
    INVALID_AUDIO = "invalid_audio"
    """It cannot be decoded, or is empty."""
    INVALID_REQUEST = "invalid_request"
    """A value that is impossible, or a field that is missing."""
    UNKNOWN_EVENT = "unknown_event"
    WRONG_ORDER = "wrong_order"
    """An event that makes no sense before, or after, another."""
    UNSUPPORTED_MEDIA = "unsupported_media_type"
    """A body of another kind than the endpoint takes."""
    TOO_LARGE = "too_large"
    """A message or an upload."""
    NO_WEBSOCKET = "no_websocket"
    """A plain request to the address of a WebSocket."""
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    """A page of another origin."""
    OVERLOADED = "overloaded"
    """All sessions are taken."""
    IDLE = "idle"
    """Nothing came for too long."""
    ENDING = "ending"
    """The server is about to end."""
    FAILED = "failed"
    """The model, or the server itself, failed."""


class RefusedError(VoxrunError):
    """A request, or an event, that is not carried out."""

    def __init__(self, kind: Kind, message: str, param: str | None = None) -> None:
        """`param`: the field that is to blame, as the client spells it."""
        super().__init__(message)
        self.kind, self.param = kind, param

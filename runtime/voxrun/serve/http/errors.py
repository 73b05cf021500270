"""Refusals over HTTP, in OpenAI's form: a status, and {"error": {"message", "type", "param", "code"}}."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voxrun.errors import VoxrunError
from voxrun.messages import sentence
from voxrun.serve.errors import Kind, RefusedError

RETRY_AFTER = "5"
"""Seconds, as overloaded clients are told."""


class Form(NamedTuple):
    """How a kind of refusal is told."""

    status: int
    type: str = "invalid_request_error"
    code: str | None = None
    """Kind's own name if it is None."""


FORMS = {
    Kind.UNSUPPORTED_MEDIA: Form(415),
    Kind.TOO_LARGE: Form(413),
    Kind.UNAUTHORIZED: Form(401, code="invalid_api_key"),
    Kind.FORBIDDEN: Form(403, "permission_error"),
    Kind.NO_WEBSOCKET: Form(426, code="upgrade_required"),
    Kind.IDLE: Form(408, "timeout_error"),
    Kind.OVERLOADED: Form(503, "server_error"),
    Kind.ENDING: Form(503, "server_error"),
    Kind.FAILED: Form(500, "server_error"),
}
"""All others are 400."""


def body(refusal: RefusedError) -> dict[str, Any]:
    """The JSON object of a refusal."""
    form = FORMS.get(refusal.kind, Form(400))
    return _body(str(refusal), form.type, refusal.param, form.code or str(refusal.kind))


def response(refusal: RefusedError) -> Response:
    """The whole response of a refusal."""
    status = FORMS.get(refusal.kind, Form(400)).status
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.UPGRADE_REQUIRED:
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
    return JSONResponse(body(refusal), status, headers)


def _body(message: str, type: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": sentence(message), "type": type, "param": param, "code": code}}


async def _http(request: Request, error: Any) -> Response:
    """What Starlette itself refuses: an unknown path, another method."""
    status = HTTPStatus(error.status_code)
    path = f"{request.method} {request.url.path}"
    message = {
        HTTPStatus.NOT_FOUND: f"there is no {path} here; the guide lists the endpoints, docs/serving.md",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{path} is not possible: use {(error.headers or {}).get('Allow')}",
    }.get(status, error.detail)
    code = status.phrase.lower().replace(" ", "_")
    return JSONResponse(_body(message, "invalid_request_error", None, code), status, error.headers)


def _refusal(error: Exception) -> RefusedError:
    """What a client is told of an error; of a fault of the server its kind, the log has the rest."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, VoxrunError):  # the model cannot be loaded, for instance
        return RefusedError(Kind.FAILED, str(error))
    return RefusedError(Kind.FAILED, f"the server failed ({type(error).__name__})")


def handlers(refused: Callable[[Kind], None]) -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """For Starlette: what to answer to what an endpoint raises; `refused` counts it."""

    async def refuse(request: Request, error: Any) -> Response:
        refusal = _refusal(error)
        refused(refusal.kind)
        return response(refusal)

    return {HTTPException: _http, VoxrunError: refuse, Exception: refuse}

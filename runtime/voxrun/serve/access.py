"""Who may use the server: its name, the origin of a page, the API key. ASGI middleware around everything.

A page of another site can make a browser send requests to servers on its user's machine. It is refused by its
Origin, and where it calls itself by a name that leads here (DNS rebinding), by the Host.
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import Kind, RefusedError
from .http.errors import response
from .service import Service
from .settings import Settings

PUBLIC, OF_PAGE = {"/", "/health"}, "/page/"
"""Paths that need no key: the page and its files, which ask for one, and supervisors, who have none."""
OPERATING = {"/health", "/metrics"}
"""Paths that are answered until the very end."""
SAFE = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing; what they answer, a browser keeps from pages of other origins."""
KEY_PROTOCOL = "openai-insecure-api-key."
"""Begins the name of a WebSocket subprotocol that is a key: browsers can send no other header."""
OTHER_HEADERS = ("authorization", "x-api-key", "api-key")
"""Where clients of other servers may have a key, or this header in another form."""
PAGES_METHODS = ("GET", "HEAD", "POST")
"""What the endpoints take."""
PROTOCOL = "realtime"
"""The subprotocol beside it."""
NO_ORIGIN = "pages of this origin may not use the server; start it with --allow-origin ORIGIN"
OWN_SUFFIXES = (".localhost", ".internal")
"""Of names that nobody on the internet can own, such as host.docker.internal."""


def middleware(service: Service) -> list[Middleware]:
    """Outermost first."""
    cors = Middleware(
        Cors,
        allow_origins=service.settings.origins,
        allow_methods=PAGES_METHODS,
        allow_headers=["*"],
        allow_private_network=True,
    )
    return [cors, Middleware(Access, service=service)]


class Cors(CORSMiddleware):
    """Tells browsers what pages of other origins may do; a refusal has our form."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to the question of a browser before the request of a page."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        refusal = response(RefusedError(Kind.FORBIDDEN, self._reason(request_headers)))
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        refusal.headers.update(kept)
        return refusal

    def _reason(self, request_headers: Headers) -> str:
        if not self.is_allowed_origin(request_headers["origin"]):
            return NO_ORIGIN
        return f"pages can use the methods {', '.join(PAGES_METHODS)} only"


class Access:
    """Lets requests in, or refuses them with a status and OpenAI's error; WebSockets before they are open."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._hosts = known_hosts(service.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RefusedError as refusal:
            self._service.metrics.refused(refusal.kind)
            await response(refusal)(scope, receive, send)  # a WebSocket's, too, which is not open yet
        else:
            await self._app(scope, receive, _selecting(scope, send))

    def _check(self, scope: Scope) -> None:
        """Raises RefusedError."""
        headers, settings = Headers(scope=scope), self._service.settings
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_known(host, self._hosts):
            raise RefusedError(
                Kind.FORBIDDEN,
                "the Host of this request is none of the server's names; if it is one, start the server with"
                " --allow-origin http://HOST",
            )
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if changes and origin is not None and not is_allowed(origin, host, settings.origins):
            raise RefusedError(Kind.FORBIDDEN, NO_ORIGIN)
        needs_key = bool(settings.keys) and not is_public(scope["path"])
        if needs_key and not has_key(keys_in(scope), settings.keys):
            raise RefusedError(Kind.UNAUTHORIZED, f"{why_not(scope)}: Authorization: Bearer KEY")
        if self._service.ending and scope["path"] not in OPERATING:
            raise RefusedError(Kind.ENDING, "the server is ending; connect again later")


def is_public(path: str) -> bool:
    """Whether a path needs no key. All below `OF_PAGE` is the page's: nothing else is found there."""
    return path in PUBLIC or path.startswith(OF_PAGE)


def known_hosts(settings: Settings) -> frozenset[str] | None:
    """The names of a server on loopback; None: any, for other machines use names that are unknown here."""
    host = settings.host.lower()
    if "*" in settings.origins or not (host == "localhost" or _is_loopback(host)):
        return None
    allowed = (urlsplit(origin).hostname for origin in settings.origins)
    return frozenset(("localhost", host, *filter(None, allowed)))


def is_known(host: str, known: frozenset[str] | None) -> bool:
    """Whether a Host header is one of ours."""
    if known is None or not host:  # HTTP/1.0, which no browser speaks
        return True
    name = _hostname(host)
    return name in known or name.endswith(OWN_SUFFIXES) or _is_loopback(name)


def is_allowed(origin: str, host: str, origins: tuple[str, ...]) -> bool:
    """Whether a page of this origin may use the server at this host: its own page, or one that is named."""
    if "*" in origins or origin.lower() in origins:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def keys_in(scope: Scope) -> Iterator[str]:
    """The keys that a request has."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield key.strip()
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            yield protocol.removeprefix(KEY_PROTOCOL)
    yield from parse_qs(scope["query_string"].decode("latin-1")).get("api_key", ())


def why_not(scope: Scope) -> str:
    """What is wrong with a request without a right key; no word of the key itself."""
    if any(keys_in(scope)):
        return "this API key is wrong"
    headers = Headers(scope=scope)
    other = next((name for name in OTHER_HEADERS if name in headers), None)
    if other == "authorization":
        return "the header Authorization has another form than this one, which an API key needs"
    return f"an API key is needed in this header, not in {other}" if other else "an API key is needed"


def has_key(given: Iterator[str], keys: tuple[str, ...]) -> bool:
    """Whether one of those given is right; the time it takes does not tell how much of it is."""
    wanted = [sha256(key.encode()).digest() for key in keys]
    digests = [sha256(key.encode("utf-8", "replace")).digest() for key in given]
    matches = [hmac.compare_digest(digest, want) for digest in digests for want in wanted]
    return any(matches)


def _hostname(host: str) -> str:
    """A Host header without its port."""
    name = (
        host.lower().rpartition("]")[0].removeprefix("[")
        if host.startswith("[")
        else host.lower().partition(":")[0]
    )
    return name.removesuffix(".")


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _selecting(scope: Scope, send: Send) -> Send:
    """Accept a WebSocket with the subprotocol beside the key, or a browser would refuse the connection."""
    if PROTOCOL not in scope.get("subprotocols", ()):
        return send

    async def selecting(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": PROTOCOL}
        await send(message)

    return selecting

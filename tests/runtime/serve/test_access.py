"""Who may use the server: API keys, origins of pages, and the names of the server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from socket import create_connection
from typing import Any

import httpx
import pytest
from served import PLAIN, Served, served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from voxrun.serve.access import is_allowed, is_known, known_hosts
from voxrun.serve.settings import Settings
from voxrun.transcriber import Transcriber

KEYS = ("first-key", "second-key")
APP = "https://app.example.org"


@pytest.fixture(scope="module")
def guarded(transcriber: Transcriber) -> Iterator[Served]:
    with served(transcriber, replace(PLAIN, keys=KEYS, origins=(APP,))) as running:
        yield running


def refusal_of(server: Served, path: str = "/v1/realtime", **options: Any) -> tuple[int, str]:
    """The status and the code with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as refused, connect(f"{server.ws}{path}", **options):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health", {}, 200),
        ("/", {}, 200),
        ("/page/app.js", {}, 200),
        ("/page/..%2fmetrics", {}, 404),
        ("/metrics", {}, 401),
        ("/no/such/path", {}, 401),
        ("/metrics", {"Authorization": "Bearer first-key"}, 200),
        ("/metrics", {"Authorization": "bearer  second-key"}, 200),
        ("/metrics", {"Authorization": "Bearer"}, 401),
        ("/metrics", {"Authorization": "Basic first-key"}, 401),
        ("/metrics", {"Authorization": "Bearer first-ke"}, 401),
        ("/metrics", {"Authorization": "Bearer first-key2"}, 401),
        ("/metrics", {"Authorization": "Bearer \u00e9".encode("latin-1")}, 401),
        ("/metrics?api_key=second-key", {}, 200),
        ("/metrics?api_key=", {}, 401),
        ("//health", {}, 401),
        ("/health/..%2fmetrics", {}, 401),
        ("/", {}, 200),
        ("/page/app.js", {}, 200),
        ("/page/..%2fmetrics", {}, 404),
        ("/page/..%2f..%2faccess.py", {}, 404),
        ("/page", {}, 401),
    ],
)
def test_a_request_needs_a_key_but_for_the_page_and_the_health(
    guarded: Served, path: str, headers: dict[str, Any], status: int
) -> None:
    response = httpx.get(f"{guarded.url}{path}", headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
        assert "key2" not in response.text


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "an API key is needed: Authorization: Bearer KEY"),
        ({"Authorization": "Bearer beta"}, "this API key is wrong: Authorization: Bearer KEY"),
        ({"Authorization": "beta"}, "has another form than this one"),
        ({"X-API-Key": "first-key"}, "not in x-api-key: Authorization: Bearer KEY"),
    ],
)
def test_a_refused_key_is_told_the_right_form(guarded: Served, headers: dict[str, str], said: str) -> None:
    message = httpx.get(f"{guarded.url}/metrics", headers=headers).json()["error"]["message"]
    assert said in message
    assert "beta" not in message


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/audio/transcriptions/realtime"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_plain_request_to_a_websocket_is_told_its_address(server: Served, path: str, method: str) -> None:
    answer = httpx.request(method, f"{server.url}{path}?api_key=x")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["error"]["message"] == f"this is a WebSocket address: {server.ws}{path}"


def test_a_websocket_needs_a_key_too(guarded: Served) -> None:
    assert refusal_of(guarded) == (401, "invalid_api_key")
    assert refusal_of(guarded, subprotocols=["realtime", "openai-insecure-api-key.wrong"])[0] == 401
    with connect(f"{guarded.ws}/v1/realtime", additional_headers={"Authorization": "Bearer first-key"}):
        pass
    with connect(f"{guarded.ws}/v1/realtime?api_key=second-key"):
        pass
    offered: list[Any] = ["realtime", "openai-insecure-api-key.first-key", "openai-beta.realtime-v1"]
    with connect(f"{guarded.ws}/v1/realtime", subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"  # a browser refuses a server that selects none


def test_pages_of_other_origins_are_refused(guarded: Served) -> None:
    key = {"Authorization": "Bearer first-key"}
    for origin in ("http://evil.example", "null", "https://app.example.org.evil.example", "//", "http://["):
        assert refusal_of(guarded, origin=origin, additional_headers=key) == (403, "forbidden")
        assert httpx.post(f"{guarded.url}/v1/x", headers={"Origin": origin, **key}).status_code == 403
        answer = httpx.get(f"{guarded.url}/metrics", headers={"Origin": origin, **key})
        assert "access-control-allow-origin" not in answer.headers  # so that a browser keeps it from the page
    for origin in (guarded.url, APP):
        with connect(f"{guarded.ws}/v1/realtime", origin=origin, additional_headers=key):  # type: ignore[arg-type]
            pass
        assert httpx.post(f"{guarded.url}/v1/x", headers={"Origin": origin, **key}).status_code == 404


def test_an_allowed_origin_may_ask_and_read(guarded: Served) -> None:
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = httpx.options(f"{guarded.url}/v1/audio/transcriptions", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert "authorization" in answer.headers["access-control-allow-headers"]
    refused = httpx.get(f"{guarded.url}/metrics", headers={"Origin": APP})  # which the page can read, too
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)
    asked["Access-Control-Request-Method"] = "DELETE"
    refused = httpx.options(f"{guarded.url}/x", headers=asked)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (403, APP)
    assert "GET, HEAD, POST only" in refused.json()["error"]["message"]
    asked["Origin"] = "http://evil.example"
    refused = httpx.options(f"{guarded.url}/x", headers=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert "--allow-origin" in refused.json()["error"]["message"]
    assert "access-control-allow-origin" not in refused.headers


def test_a_name_that_leads_here_by_dns_rebinding_is_refused(guarded: Served) -> None:
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert httpx.get(f"{guarded.url}/health", headers=headers).status_code == 403
        name = host.partition(":")[0]
        sock = create_connection(("127.0.0.1", guarded.port))
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{name}/v1/realtime", sock=sock)
        assert refused.value.response.status_code == 403
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]", "[::1]:8000", "app.example.org"):
        assert httpx.get(f"{guarded.url}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "known"),
    [
        ({}, "host.docker.internal:8000", True),
        ({}, "", True),
        ({}, "192.168.1.2", False),
        ({}, "[::1", False),
        ({}, "[", False),
        ({"host": "::1"}, "evil.example", False),
        ({"host": "localhost"}, "evil.example", False),
        ({"host": "127.0.0.2"}, "127.0.0.2:8000", True),
        ({"host": "0.0.0.0"}, "my-machine.local", True),
        ({"origins": ("*",)}, "my-machine.local", True),
    ],
)
def test_names_are_checked_where_only_this_machine_is_served(
    settings: dict[str, Any], host: str, known: bool
) -> None:
    assert is_known(host, known_hosts(replace(PLAIN, **settings))) is known


def test_all_origins_may_be_allowed() -> None:
    assert is_allowed("null", "localhost", ("*",))
    assert not is_allowed("http://", "", ())


def test_no_key_is_shown(guarded: Served, capfd: pytest.CaptureFixture[str]) -> None:
    httpx.get(f"{guarded.url}/metrics?api_key=first-key")
    httpx.get(f"{guarded.url}/v1/x", headers={"Authorization": "Bearer first-key"})
    assert "first-key" not in repr(guarded.service.settings)
    assert capfd.readouterr() == ("", "")


def test_without_keys_none_is_needed(server: Served) -> None:
    assert isinstance(server.service.settings, Settings)
    assert httpx.get(f"{server.url}/metrics").status_code == 200

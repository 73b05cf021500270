"""What is asked, what is answered, what is refused."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from .access import Token


class Refusal(Exception):  # noqa: N818
    """An answer other than 200. From `code`, the Hub's X-Error-Code, its client makes typed errors."""

    def __init__(self, status: int, code: str = "", message: str = "refused", **body: Any) -> None:
        self.status, self.code, self.message = status, code, message
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {"error": message} | body

    def answer(self) -> "Answer":
        told = {"X-Error-Code": self.code, "X-Error-Message": self.message}
        return json_answer(self.body, self.status, told | self.headers)


@dataclass
class Request:
    """A call. `name` is its repository's, where it has one."""

    method: str
    path: str
    query: str
    headers: Any
    body: bytes = b""
    token: Token | None = None

    @property
    def user(self) -> str:
        return self.token.user if self.token else "nobody"

    def asks(self, flag: str) -> bool:
        """Whether a flag of the query is set: ?create_pr=1, ?recursive=true."""
        return self.value(flag).lower() in ("1", "true")

    def value(self, name: str) -> str:
        return parse_qs(self.query).get(name, [""])[-1]

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, message="the body is no JSON") from None

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode())


@dataclass
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    told = {"Content-Type": "application/json; charset=utf-8"} | (headers or {})
    return Answer(status, json.dumps(value).encode(), told)

"""What goes wrong, as tests declare it: calls are named by a regex such as "POST .*/commit/"."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .web import Refusal

Damage = Callable[[bytes], bytes]
FOR_GOOD = 10**9


def flipped(data: bytes) -> bytes:
    """One bit of the byte in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


def truncated(data: bytes) -> bytes:
    """The second half is not there."""
    return data[: len(data) // 2]


def swapped(other: bytes) -> Damage:
    """Another file's bytes."""
    return lambda data: other


@dataclass
class Fault:
    """Something that happens to so many calls that match."""

    call: re.Pattern[str]
    kind: str
    what: Any
    times: int
    beyond: int = 0
    """Calls that ask for bytes before this one are not meant."""


@dataclass
class Mishaps:
    """What happens to one call."""

    cut: str = ""
    hang: bool = False
    drip: float | None = None
    corrupt: Damage | None = None
    fail: Refusal | None = None
    before: Callable[[], Any] | None = None
    within: Callable[[], Any] | None = None
    """Done when half of what the call sends was read."""
    headers: dict[str, str] | None = None


@dataclass
class Faults:
    """What was declared and not used up. Of several of a kind the first declared happens first."""

    declared: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def declare(self, kind: str, call: str, what: Any, times: int, beyond: int = 0) -> None:
        with self._lock:
            self.declared.append(Fault(re.compile(call), kind, what, times, beyond))

    def clear(self) -> None:
        with self._lock:
            self.declared.clear()

    def take(self, call: str, first: int = 0) -> Mishaps:
        """What happens to this call, which asks for bytes from `first`; each counts as once."""
        found: dict[str, Any] = {}
        with self._lock:
            for fault in self.declared:
                meant = fault.times and fault.kind not in found and first >= fault.beyond
                if meant and fault.call.search(call):
                    fault.times -= 1
                    found[fault.kind] = fault.what
        return Mishaps(**found)


class Declares:
    """The part of HubServer by which tests declare what goes wrong."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.wrong_hashes: set[str] = set()

    def fail(
        self,
        call: str,
        status: int,
        times: int = FOR_GOOD,
        code: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer with this status, X-Error-Code and headers (Retry-After), so many times."""
        refusal = Refusal(status, code)
        refusal.headers = dict(headers or {})
        self.faults.declare("fail", call, refusal, times)

    def cut(self, call: str, when: str = "after", times: int = 1) -> None:
        """Close the connection.

        before: nothing was read or done. after: all was done, and nothing is answered. within: in the middle
        of the answer, all done; of a PUT in the middle of what it sends, nothing done.
        """
        if when not in ("before", "within", "after"):
            raise ValueError(f"cut before, within or after, not {when}")
        self.faults.declare("cut", call, when, times)

    def drip(self, call: str, bytes_per_second: float, times: int = FOR_GOOD) -> None:
        """Read what these calls send, and answer them, no faster than this."""
        self.faults.declare("drip", call, bytes_per_second, times)

    def hang(self, call: str, times: int = FOR_GOOD, beyond: int = 0) -> None:
        """Take these calls and never answer; those for bytes before `beyond` are served."""
        self.faults.declare("hang", call, True, times, beyond)

    def corrupt(self, call: str, damage: Damage = flipped, times: int = FOR_GOOD) -> None:
        """Serve other bytes of files, with headers that fit their length: flipped, truncated, swapped(other).

        The hashes that are told stay those of the true bytes.
        """
        self.faults.declare("corrupt", call, damage, times)

    def wrong_hash(self, path: str) -> None:
        """Tell of the files of this path, in every listing, other hashes than those of their bytes."""
        self.wrong_hashes.add(path)

    def tell(self, call: str, times: int = FOR_GOOD, **headers: str) -> None:
        """Answer with other headers, ETag="..." or Content_Range="..."; the body stays what it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.declare("headers", call, named, times)

    def before(self, call: str, surprise: Callable[[], Any]) -> None:
        """Do something when such a call has come, before anything else is done about it, once.

        With a cut before or within: when it has come so far, before the connection is closed.
        """
        self.faults.declare("before", call, surprise, 1)

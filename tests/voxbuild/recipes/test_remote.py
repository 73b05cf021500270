"""Ranges of a file on the Hub, by the genuine client, while things go wrong."""

import hashlib
import random
import re
from http.client import HTTPConnection
from threading import Event, Thread

import pytest
from hub_server import TOKEN
from publishers import connect, disconnect

from voxbuild.errors import SourceError, UnreachableError
from voxbuild.recipes.origins import ranges
from voxbuild.recipes.origins import remote as module
from voxbuild.recipes.origins.hub import HubFiles

REPO, NAME = "someone/voice", "model.safetensors"
SIZE = 300_001
DATA = random.Random(7).randbytes(SIZE)
PLACES = "GET .*(resolve|blobs)"


@pytest.fixture
def hub(hub, monkeypatch):
    connect(monkeypatch, hub.url, TOKEN)
    monkeypatch.setattr(module, "DELAYS", (0.0,) * 6)
    yield hub
    disconnect()


@pytest.fixture
def at_hub(hub):
    """The file at a commit, which is sent by the Hub itself."""
    return HubFiles(repo=REPO, revision=hub.add("models", REPO, {NAME: DATA})).remote(NAME)


@pytest.fixture
def signed(hub, at_hub):
    """The same, which comes from another host by signed URLs."""
    hub.signed = 0
    return at_hub


@pytest.fixture(params=["at_hub", "signed"])
def file(request):
    return request.getfixturevalue(request.param)


def received(file, first=0, count=SIZE, stop=None):
    into = bytearray(count)
    file.receive(first, memoryview(into), stop or Event())
    return bytes(into)


def spied(function, seen):
    """The function, which notes its first argument."""

    def spy(first, *rest):
        seen.append(first)
        return function(first, *rest)

    return spy


def refused(file, error=SourceError, **range):
    with pytest.raises(error) as caught:
        received(file, **range)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_size_and_hash_are_known_before_a_byte_is_received(hub, file):
    told = file.told()
    assert (told.size, told.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert not hub.sent


def test_git_s_hash_of_a_small_file_is_no_sha256(hub):
    commit = hub.add("models", REPO, {"small.json": b"{}"})
    assert HubFiles(repo=REPO, revision=commit).remote("small.json").told().sha256 is None


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, len(DATA)), (299_999, 2), (65_535, 65_537)])
def test_a_range_is_just_that(file, first, count):
    assert received(file, first, count) == DATA[first : first + count]


def test_the_hub_is_asked_once_for_the_place(hub, file):
    for first in range(0, 100_000, 10_000):
        received(file, first, 10_000)
    assert len([call for call in hub.calls if call.startswith("HEAD")]) == 1


def test_the_token_stays_at_the_hub(hub, file):
    hub.restrict(REPO, private=True)
    assert received(file) == DATA
    assert hub.seen_elsewhere == []


def test_a_redirect_is_followed_once(hub, at_hub):
    hub.redirects = True
    assert received(at_hub, 0, 1000) == DATA[:1000]
    hub.calls.clear()
    assert received(at_hub, 1000, 1000) == DATA[1000:2000]
    assert [call for call in hub.calls if "/resolve/" in call] == []


def test_what_a_machine_asks_its_proxy_for_is_not_asked_for_directly(hub, file, monkeypatch):
    """The Hub of this test serves as proxy; nobody finds the host that is asked for."""
    monkeypatch.setenv("http_proxy", hub.url)
    monkeypatch.setenv("no_proxy", "localhost")
    connect(monkeypatch, "http://nowhere.invalid", TOKEN)
    disconnect()  # the next session reads the environment
    assert received(file, 7, 100_000) == DATA[7:100_007]


def test_connections_are_kept(hub, file, monkeypatch):
    made = []
    monkeypatch.setattr(HTTPConnection, "connect", spied(HTTPConnection.connect, made))
    for first in range(0, 300_000, 30_000):
        assert received(file, first, 30_000) == DATA[first : first + 30_000]
    assert len(made) == 1


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_cut_connection_goes_on_at_its_byte(hub, file, when):
    hub.cut(PLACES, when, times=5)
    assert received(file, 3, 299_998) == DATA[3:]
    again = 1 + (299_998 if when == "after" else 0)
    assert sum(count for path, count in hub.sent.items() if count) <= 299_998 + 5 * again


def test_a_server_that_sends_nothing_any_more_ends_it_with_advice(hub, file):
    file.told()
    hub.cut(PLACES, "before", times=100)
    said = refused(file, UnreachableError, first=5, count=100)
    assert f"{REPO}/{NAME}: nothing came from byte 5 on, in 7 attempts (" in said
    assert said.endswith("run it again: what was converted is kept")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(hub, file, status):
    hub.fail(PLACES, status, times=4)
    hub.fail("HEAD", status, times=2)
    assert received(file) == DATA


@pytest.mark.parametrize("status", [409, 500, 503])
def test_no_message_has_a_signature(hub, signed, status):
    hub.fail("GET /blobs", status)
    said = refused(signed)
    assert "/blobs/" in said
    assert "signature=" not in said


class Waits(Event):
    """Waits for nothing, and tells how long it would have."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return False


def test_the_server_says_how_long_to_wait(hub, at_hub):
    waits = Waits()
    hub.fail(PLACES, 429, times=2, headers={"Retry-After": "7"})
    hub.fail(PLACES, 503, times=1, headers={"Retry-After": "86400"})
    assert received(at_hub, stop=waits) == DATA
    assert waits.seconds == [7, 7, module.LONGEST_WAIT]


def test_a_signed_url_that_expires_is_asked_for_again(hub, signed):
    received(signed, 0, 1000)
    for _ in range(3):
        hub.expire()
        assert received(signed, 1000, 1000) == DATA[1000:2000]
    hub.before("GET /blobs", hub.expire)  # and while others use it
    hub.cut("GET /blobs", "within", times=2)
    assert received(signed) == DATA


def test_several_threads_ask_for_one_new_place(hub, signed):
    signed.told()
    hub.expire()
    hub.calls.clear()
    threads = [Thread(target=received, args=(signed, first, 20_000)) for first in range(0, 200_000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([call for call in hub.calls if call.startswith("HEAD")]) == 1


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content_Range": "bytes 1-100/300001"}, "asked for 100 bytes from 0, the server sends"),
        ({"Content_Range": "bytes 0-98/300001"}, "asked for 100 bytes from 0, the server sends"),
        ({"Content_Range": ""}, "asked for 100 bytes from 0, the server sends"),
        (
            {"Content_Range": "bytes 0-99/299999"},
            "it changed while it was received (299,999 bytes instead of",
        ),
        ({"Content_Length": "99"}, "the server sends 99 bytes as"),
        ({"Content_Encoding": "gzip"}, "the server sends ranges encoded"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(hub, at_hub, headers, said):
    hub.tell(PLACES, **headers)
    assert said in refused(at_hub, count=100)


def test_a_longer_answer_than_it_says_is_refused(hub, at_hub, monkeypatch):
    for each in (module, ranges):
        monkeypatch.setattr(
            each, "header_of", lambda first, count: {"Range": f"bytes={first}-{first + count}"}
        )
    hub.tell(PLACES, Content_Length="", Connection="close", Content_Range=f"bytes 0-99/{SIZE}")
    assert "the server sends more bytes than it says" in refused(at_hub, count=100)


def test_bytes_behind_an_answer_are_not_taken_for_the_next_one(hub, at_hub, monkeypatch):
    hub.tell(PLACES, times=1, Content_Length="100", Content_Range=f"bytes 0-99/{SIZE}")
    with monkeypatch.context() as patch:
        patch.setattr(module, "header_of", lambda first, count: {"Range": f"bytes={first}-{first + count}"})
        assert received(at_hub, count=100) == DATA[:100]
    assert received(at_hub, first=100, count=100) == DATA[100:200]


@pytest.mark.parametrize("place", ["http://nowhere:one/a", "http://[::1/a", "http://a..b/a"])
def test_a_place_that_is_no_url_is_refused(hub, at_hub, place):
    hub.tell("HEAD .*/resolve/", Location=place)
    assert REPO in refused(at_hub)


def test_a_server_without_ranges_is_refused_with_advice(hub, at_hub):
    hub.ranges = False
    assert re.search("does not send ranges of bytes.*fetch=disk", refused(at_hub, count=100))


def test_a_file_with_another_etag_has_changed(hub, file):
    received(file, 0, 100)
    hub.tell(PLACES, ETag='"other"')
    assert 'it changed while it was received (the ETag "other" instead of' in refused(file, count=100)


def test_a_file_with_fewer_bytes_has_changed(hub, file):
    file.told()
    hub.corrupt(PLACES, lambda data: data[:1000])
    assert "it changed while it was received (it has no bytes from 2,000)" in refused(
        file, first=2000, count=9
    )


def test_another_hash_after_a_new_signature_is_a_change(hub, signed):
    received(signed, 0, 100)
    hub.expire()
    hub.tell("HEAD", X_Linked_Etag=f'"{"0" * 64}"')
    assert "the Hub tells another size or hash than before" in refused(signed, count=100)


def test_another_commit_than_the_pinned_one_is_refused(hub, at_hub):
    hub.tell("HEAD", X_Repo_Commit="1" * 40)
    assert f"the commit {'1' * 40} instead of" in refused(at_hub, count=100)


def test_who_may_not_read_it_is_told_what_to_do(hub, at_hub):
    hub.restrict(REPO, private=True)
    hub.tokens.clear()
    hub.add_token(TOKEN, "stranger", namespaces=[])
    assert "log in with `hf auth login`" in refused(at_hub, count=100)


def test_nobody_waits_after_a_stop(hub, at_hub, monkeypatch):
    at_hub.told()
    monkeypatch.setattr(module, "DELAYS", (1e9,))
    hub.cut(PLACES, "before", times=100)
    stop, raised = Event(), []

    def receive():
        try:
            received(at_hub, stop=stop)
        except module.Stopped as error:
            raised.append(error)

    thread = Thread(target=receive)
    thread.start()
    stop.set()
    thread.join(20)
    assert len(raised) == 1

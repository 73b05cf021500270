"""Answers straight from a host: connections that are kept, and certificates."""

import random
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from voxbuild.recipes.origins import direct as module
from voxbuild.recipes.origins.direct import CutError, Direct

DATA = random.Random(5).randbytes(100_000)


class Handler(BaseHTTPRequestHandler):
    """Sends DATA, then perhaps closes the connection without a word."""

    protocol_version = "HTTP/1.1"
    closes = False
    clients: ClassVar[set] = set()
    second = None
    """The first client waits for the rest of the body until there is a second one."""
    answer = b""
    """What is sent instead, as it is."""

    def do_GET(self):
        Handler.clients.add(self.client_address)
        if self.answer:
            self.wfile.write(self.answer)
            self.close_connection = True
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:1])
        if self.second and len(Handler.clients) == 1:
            self.second.wait(10)
        elif self.second:
            self.second.set()
        self.wfile.write(DATA[1:])
        self.close_connection = self.closes

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    """Clients that do not trust it hang up."""

    daemon_threads = True
    closed = threading.Event()

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.closed.set()

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serving(trust=None, **how):
    handler = type("OneHandler", (Handler,), how)
    Handler.clients.clear()
    with Server(("127.0.0.1", 0), handler) as server:
        if trust:
            server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http{'s' if trust else ''}://127.0.0.1:{server.server_address[1]}/place?signature=1"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate for this host, which it signed itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    hosts = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    signed = built.add_extension(hosts, critical=False).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, *form) + signed.public_bytes(pem))
    return path


@pytest.fixture
def secure(certificate):
    """What a server with that certificate needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    module._trust.cache_clear()
    yield context
    module._trust.cache_clear()


def asked(direct):
    """The body; None if the Hub's client must ask."""
    into = bytearray(len(DATA))
    with direct.asked({}, 5) as answer:
        assert answer is None or sum(answer.fill(memoryview(into))) == len(DATA)
    return bytes(into) if answer else None


def test_a_connection_that_was_closed_meanwhile_is_not_used_again():
    with serving(closes=True) as url:
        direct = Direct(url)
        for _ in range(3):
            Server.closed.clear()
            assert asked(direct) == DATA
            assert Server.closed.wait(10)


def test_a_connection_is_kept():
    with serving() as url:
        direct = Direct(url)
        assert asked(direct) == asked(direct) == DATA
        assert len(Handler.clients) == 1


def test_a_connection_with_bytes_to_come_is_not_used_again():
    with serving(second=threading.Event()) as url:
        direct = Direct(url)
        with direct.asked({}, 1):
            pass  # nothing of it is received
        assert asked(direct) == DATA
        assert len(Handler.clients) == 2


PARTIAL = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + PARTIAL + b"\r\n" + DATA,
        PARTIAL + b"X-Many: 1\r\n" * 150 + b"\r\n" + DATA,
        PARTIAL + b"X-Long: " + b"1" * 70_000 + b"\r\n\r\n" + DATA,
        PARTIAL.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked") + b"\r\n0\r\n\r\n",
    ],
    ids=["hints before it", "many headers", "a long header", "chunks"],
)
def test_an_answer_that_the_standard_library_does_not_read_is_left_to_the_hub_s_client(answer):
    with serving(answer=answer) as url:
        direct = Direct(url)
        assert asked(direct) is None
        assert asked(direct) is None
        assert len(Handler.clients) == 1


@pytest.mark.parametrize("behind", [b"", b"Content-Ra", b"Content-Range: bytes 0-99999/100000\r\n", b"\r\n"])
def test_a_connection_that_ends_within_the_headers_is_cut(behind):
    """http.client takes the headers that came for all of them: the range would be missing, or the ETag."""
    with serving(answer=PARTIAL + behind) as url, pytest.raises(CutError, match="closed within"):
        asked(Direct(url))


def test_spaces_around_a_header_s_text_are_not_part_of_it():
    with (
        serving(answer=PARTIAL + b'ETag:  "a" \r\n\r\n' + DATA) as url,
        Direct(url).asked({}, 5) as answer,
    ):
        assert answer.headers["etag"] == '"a"'


def test_certificates_are_those_of_the_environment(secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(secure) as url:
        assert asked(Direct(url)) == DATA


def test_a_host_that_is_not_trusted_is_left_to_the_hub_s_client(secure):
    with serving(secure) as url:
        direct = Direct(url)
        assert asked(direct) is None
        assert asked(direct) is None
        assert Handler.clients == set()


def test_nobody_there():
    with serving() as url:
        direct = Direct(url)
    with pytest.raises(CutError, match="refused"):
        asked(direct)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@127.0.0.1:1/a",
        "http://127.0.0.1:1/a b",
        "http://127.0.0.1:1/ä",
        "http://127.0.0.1:1?a",
        "http://127.0.0.1:one/a",
    ],
)
def test_a_url_that_the_hub_s_client_would_write_otherwise_is_left_to_it(url):
    assert asked(Direct(url)) is None

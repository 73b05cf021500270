"""A multipart form with a recording: it goes to a file while it arrives, and vanishes with the request."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from voxrun.serve.errors import Kind, RefusedError

PATIENCE = 30.0
"""Seconds without a byte, until an upload is given up; and so long it may be slower than SLOWEST."""
SLOWEST = 500.0
"""Bytes a second, on average."""
MOST_FIELDS, FIELD_BYTES = 50, 256 * 1024
"""Of a form, beside the recording."""
MULTIPART = "multipart/form-data"
FILE = b"file"

# Its warnings about malformed forms; the client is told what is wrong.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@asynccontextmanager
async def received(request: Request, most_bytes: int) -> AsyncIterator[FormData]:
    """The form of a request, once it is there. Raises RefusedError; ClientDisconnect if the client goes."""
    _check_headers(request, most_bytes)
    try:
        form = await _Parser(request, most_bytes).parse()
    except MultiPartException as error:
        raise RefusedError(Kind.INVALID_REQUEST, f"the form cannot be read: {error.message}") from error
    except OSError as error:
        raise RefusedError(Kind.FAILED, f"the upload cannot be kept ({error.strerror})") from error
    try:
        yield form
    finally:
        await form.close()


def _check_headers(request: Request, most_bytes: int) -> None:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != MULTIPART:
        raise RefusedError(
            Kind.UNSUPPORTED_MEDIA,
            f"send {MULTIPART} with the recording as its field 'file' (curl -F file=@FILE)",
        )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> RefusedError:
    return RefusedError(Kind.TOO_LARGE, f"the upload is larger than {most_bytes:,} bytes", "file")


class _Parser(MultiPartParser):
    """Starlette's parser, which keeps files on disk; a form that breaks off is an error."""

    def __init__(self, request: Request, most_bytes: int) -> None:
        super().__init__(
            request.headers,
            self._watched(request.stream(), most_bytes),
            max_files=1,
            max_fields=MOST_FIELDS,
            max_part_size=FIELD_BYTES,
        )
        self._complete = False

    def on_headers_finished(self) -> None:
        """A part begins; the recording is a file even if the client gives it no name."""
        part = self._current_part
        if part.content_disposition and _is_nameless_file(part.content_disposition):
            part.content_disposition += b'; filename=""'
        super().on_headers_finished()

    def on_end(self) -> None:
        """The form's last boundary."""
        self._complete = True

    async def _watched(self, chunks: AsyncGenerator[bytes, None], most: int) -> AsyncGenerator[bytes, None]:
        """The chunks, as long as they are not too many nor too slow, and complete."""
        now = asyncio.get_running_loop().time
        begin, n_bytes = now(), 0
        async with aclosing(chunks):
            while True:
                left = begin + PATIENCE + n_bytes / SLOWEST - now()
                try:
                    chunk = await asyncio.wait_for(anext(chunks), min(left, PATIENCE))
                except StopAsyncIteration:
                    break
                except TimeoutError as error:
                    raise RefusedError(
                        Kind.IDLE, f"the upload is too slow: {n_bytes:,} bytes in {now() - begin:.0f} s"
                    ) from error
                n_bytes += len(chunk)
                if n_bytes > most:
                    raise _too_large(most)
                yield chunk
        if not self._complete:
            raise MultiPartException("it breaks off, without its last boundary")


def _is_nameless_file(disposition: bytes) -> bool:
    _, options = parse_options_header(disposition)
    return options.get(b"name") == FILE and b"filename" not in options

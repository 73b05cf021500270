"""The standard streams, in whatever state the process gets them: closed, non-blocking, of any encoding."""

import codecs
import os
import sys

from voxrun.files.descriptors import Diagnostics, writer

ESCAPE = "voxrun.escape"
UNUSABLE = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_RDONLY}
"""Descriptor -> how /dev/null is opened in its place if it is closed: the wrong way round, so that reading
from 0 and writing to 1 and 2 fail as they do on a closed descriptor."""


def open_streams() -> None:
    """Make `sys.stdout` write everything or raise OSError, and `sys.stderr` never raise.

    /dev/null takes the place of a closed descriptor. Else the next file that is opened would get its number,
    and everything that is written to the stream would go there.
    """
    for descriptor, flags in UNUSABLE.items():
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest free number, which is this one
    out = _encoding(sys.stdout)
    sys.stdout = writer(1, encoding=out, errors=ESCAPE, line_buffering=os.isatty(1))
    err = _encoding(sys.stderr)
    sys.stderr = writer(2, raw=Diagnostics, encoding=err, errors="backslashreplace", line_buffering=True)


def _encoding(stream: object) -> str:
    """The encoding that Python chose; UTF-8 if that is ASCII for want of a locale, as Python's UTF-8 mode."""
    name = getattr(stream, "encoding", None) or "utf-8"
    unasked = codecs.lookup(name).name == "ascii" and not os.environ.get("PYTHONIOENCODING")
    return "utf-8" if unasked else name


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Characters that cannot be encoded as JSON escapes, so that JSON stays valid."""
    import json

    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(ESCAPE, _escaped)

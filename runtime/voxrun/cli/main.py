"""The command `voxrun`: only the transcript on stdout; progress and errors on stderr."""

import codecs
import io
import json
import os
import sys
from typing import NoReturn

from .options import parse, parser
from .signals import Interruption

__all__ = ["main", "parser"]

READER_GONE = 1
ESCAPE = "voxrun.escape"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ESCAPE)  # a character that the encoding lacks is no error
    interruption = Interruption()
    try:
        from .run import run  # imports MLX, which --help and usage errors do not need

        return run(args, interruption)
    except KeyboardInterrupt:
        return interruption.exit_code
    except BrokenPipeError:  # stdout has no reader: end quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Characters that cannot be encoded as JSON escapes, so that JSON stays valid."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(ESCAPE, _escaped)


def command() -> NoReturn:
    """Run `main`, then exit without clean-up: unloading compiled code takes half a second."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""The command `voxrun`: only the transcript on stdout; progress and errors on stderr.

It imports next to nothing before `command` is called: until then a Ctrl-C is Python's, which prints a
traceback.
"""

import _signal  # type: ignore[import-not-found]  # without the enums of `signal`, which take long to import
import os
import sys

from .codes import BAD, DONE, READER_GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .signals import Interruption


def main(argv: list[str] | None = None, interruption: "Interruption | None" = None) -> int:
    """Run the command; return its exit code. Raises SystemExit after --help and for impossible options."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["serve"]:
        from .serve import main as serve

        return serve(words[1:], interruption)
    if words[:1] == ["bench"]:
        from .bench import main as bench

        return bench(words[1:], interruption)

    from .options import parse

    args = parse(words)
    if interruption is None:
        from .signals import Interruption

        interruption = Interruption()
    try:
        from .run import run  # imports MLX, which --help and usage errors do not need

        return run(args, interruption)
    except KeyboardInterrupt:
        return interruption.exit_code
    except BrokenPipeError:  # stdout has no reader: end quietly
        return READER_GONE


def command() -> "NoReturn":
    """Run `main`, then exit without clean-up: unloading compiled code takes half a second."""
    _end_without_traceback()
    from .signals import Interruption

    # Our own threads share the products (`voxrun.parallel`). The BLAS's would start with NumPy and spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    interruption = Interruption()
    try:
        from .streams import open_streams

        open_streams()
        os._exit(_printed(_main(interruption)))
    except KeyboardInterrupt:
        os._exit(interruption.exit_code)


def _end_without_traceback() -> None:
    """Let a Ctrl-C end the process as the system does, until there is an `Interruption`."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # else it is ignored, and stays so
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def _main(interruption: "Interruption") -> int:
    try:
        return main(None, interruption)
    except SystemExit as end:
        return int(end.code or 0)
    except MemoryError:
        print("voxrun: not enough memory: close other programs, or use a smaller model", file=sys.stderr)
        return BAD


def _printed(code: int) -> int:
    """The exit code, or another one if something that was printed could not be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return READER_GONE
    except OSError as error:
        if code == DONE:  # else it was reported
            print(f"voxrun: standard output cannot be written ({error.strerror})", file=sys.stderr)
        return code or BAD
    return code

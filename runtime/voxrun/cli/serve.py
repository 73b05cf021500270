"""The command `voxrun serve`."""

import argparse
import os
import sys

from .codes import BAD, DONE
from .options import MODEL_VARIABLE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="voxrun serve", allow_abbrev=False)
    p.add_argument("--model", default=os.environ.get(MODEL_VARIABLE))
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8000)
    return p


def run(argv: list[str]) -> int:
    """Serve until a signal; return the exit code."""
    args = parser().parse_args(argv)
    from voxrun.errors import VoxrunError
    from voxrun.serve.lifetime import serve
    from voxrun.serve.settings import Settings
    from voxrun.trust.open import trusted

    try:
        folder = trusted(args.model, None, None, False, None)
        serve(Settings(folder, args.model, args.host, args.port))
    except VoxrunError as error:
        print(f"voxrun: {error}", file=sys.stderr)
        return BAD
    return DONE

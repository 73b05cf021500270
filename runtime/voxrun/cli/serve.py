"""The command `voxrun serve`."""

import argparse
import sys
from importlib.util import find_spec
from shlex import quote

from .codes import BAD, DONE
from .keys import keys_of
from .serve_options import parse, settings
from .signals import Interruption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from voxrun.serve.lifetime import Server

EXTRA = {
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
}
"""What voxrun-mlx[server] installs: modules, and the names of their packages."""


def main(argv: list[str], interruption: Interruption | None = None) -> int:
    """Serve until a signal; return the exit code. Raises SystemExit after --help and for bad options."""
    args = parse(argv)
    missing = [package for module, package in EXTRA.items() if find_spec(module) is None]
    if missing:
        print(f"voxrun serve: needs {', '.join(missing)}: {_install()}", file=sys.stderr)
        return BAD
    import logging  # --help waits for little

    from voxrun.errors import VoxrunError

    from .screen import show_log

    show_log()
    try:
        return _serve(args, interruption or Interruption())
    except VoxrunError as error:
        logging.getLogger("voxrun").error("%s", error)
        return BAD


def _install() -> str:
    """The command that installs what is missing: from the project's folder if this runs in it."""
    from pathlib import Path

    project = Path(__file__).parents[2]
    if (project / "pyproject.toml").is_file():
        return f"pip install -e {quote(f'{project}[server]')}"
    return "pip install 'voxrun-mlx[server]'"


def _serve(args: argparse.Namespace, interruption: Interruption) -> int:
    from voxrun.serve.address import listening
    from voxrun.serve.lifetime import Server
    from voxrun.trust.open import pinned_model, trusted

    sockets = listening(args.host, args.port)  # before a model is downloaded for nothing
    keys = keys_of(args.api_key, args.api_key_file)
    model = pinned_model(args.lock) if args.model is None else args.model
    folder = trusted(model, args.revision, args.registry, args.verify, args.lock)
    server = Server(settings(args, folder, model, keys), sockets)

    def ready() -> None:
        interruption.source, interruption.at_once = _Ending(server, interruption), False

    return DONE if server.run(ready) else interruption.exit_code


class _Ending:
    """The first signal ends the server, the next the process."""

    def __init__(self, server: "Server", interruption: Interruption) -> None:
        self._server, self._interruption = server, interruption

    @property
    def stopped(self) -> bool:
        """Whether a signal came."""
        return self._server.stopped

    def stop(self) -> None:
        """A signal."""
        self._interruption.at_once = True
        self._server.stop()

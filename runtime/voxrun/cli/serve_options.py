"""The command line of `voxrun serve`."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from voxrun import habits
from voxrun.messages import shown
from voxrun.serve.settings import MEGABYTE, Limits, Settings

from .keys import KEY_VARIABLE, key
from .model_options import add_delay, add_model, choose_model, mistakes_of_model
from .numbers import above_zero, not_negative, positive
from .parser import RECORDINGS, Help, Parser

LIMITS = Limits()
DESCRIPTION = (
    "Serve a model to apps: realtime transcription over WebSockets, in the protocols of OpenAI, vLLM and"
    " Mistral, OpenAI's transcription of files over HTTP, and a page with a microphone."
)
EPILOG = f"""\
examples:
  voxrun serve --model out/tiny/4bit            for apps on this machine
  voxrun serve --host 0.0.0.0 --api-key-file keys.txt
                                                for others, who need a key
  voxrun serve --allow-origin https://app.example.org
                                                for pages of this site, too

A client sends its key as "Authorization: Bearer KEY". GET /health needs none.

Ctrl-C, SIGTERM or SIGHUP ends the server: what was heard by then is transcribed, \
for up to --grace seconds. A second one ends it at once.

exit codes:
  0         ended by a signal, after all that was heard had been transcribed
  2         bad options or model; the address cannot be used
  129, 130, 143
            ended by SIGHUP (129), Ctrl-C (130) or SIGTERM (143) before it was \
ready, before all was transcribed, or by a second one

A recording that is called serve is transcribed by: voxrun ./serve
The variable {KEY_VARIABLE} is a key, too.
"""


def parser() -> Parser:
    """The command line."""
    p = Parser(
        prog="voxrun serve",
        usage="voxrun serve [OPTION ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    p.advice = habits.server_advice
    p.add_argument(RECORDINGS, nargs="*", help=argparse.SUPPRESS)
    add_model(p.add_argument_group("model"))
    _add_address(p.add_argument_group("address"))
    _add_access(p.add_argument_group("access"))
    _add_limits(p.add_argument_group("limits"))
    _add_life(p.add_argument_group("sessions and memory"))
    return p


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; leaves the program, with code 2, if it makes no sense."""
    p = parser()
    args = p.read(argv)
    choose_model(args)
    mistake = next(filter(None, _mistakes(args)), None)
    if mistake:
        p.error(mistake)
    return args


def settings(args: argparse.Namespace, folder: Path, name: str, keys: tuple[str, ...]) -> Settings:
    """What was chosen, with the model that was found."""
    limits = Limits(
        sessions=args.max_sessions,
        waiting_seconds=args.max_waiting,
        upload_bytes=round(args.max_upload * MEGABYTE),
        idle_seconds=args.idle_timeout,
    )
    return Settings(
        folder=folder,
        name=name,
        host=args.host,
        port=args.port,
        keys=keys,
        origins=tuple(args.allow_origin),
        delay_ms=args.delay_ms,
        idle_unload=args.idle_unload,
        grace=args.grace,
        limits=limits,
    )


def _mistakes(args: argparse.Namespace) -> Iterator[str | None]:
    """What is found wrong without opening a file."""
    for name in args.audio:
        yield (
            f"{shown(name)}: the server takes no recordings, its clients send them; for a recording that is"
            " called serve: voxrun ./serve"
        )
    yield from mistakes_of_model(args)


def _add_address(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--host",
        type=_host,
        default=Settings.host,
        metavar="NAME",
        help="address or name to listen at; 0.0.0.0 or :: is every address of this machine"
        f" (default {Settings.host}: this machine only)",
    )
    group.add_argument(
        "--port",
        type=_port,
        default=Settings.port,
        metavar="N",
        help=f"port to listen at; 0 takes a free one (default {Settings.port})",
    )


def _add_access(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--api-key",
        type=key,
        metavar="KEY",
        help="require this key of clients; other users of this machine can read it in the list of processes,"
        f" which --api-key-file and ${KEY_VARIABLE} avoid",
    )
    group.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="require one of the keys in this file, a key a line"
    )
    group.add_argument(
        "--allow-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin use the server, such as https://app.example.org; * lets all; may be"
        " repeated (default: only the server's own page)",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-sessions",
        type=positive,
        default=LIMITS.sessions,
        metavar="N",
        help=f"sessions at the same time, uploads included (default {LIMITS.sessions})",
    )
    group.add_argument(
        "--max-waiting",
        type=above_zero,
        default=LIMITS.waiting_seconds,
        metavar="SECONDS",
        help="audio of a session that may wait for the model; a client with more is not read until there is"
        f" less (default {LIMITS.waiting_seconds:g})",
    )
    group.add_argument(
        "--max-upload",
        type=above_zero,
        default=LIMITS.upload_bytes / MEGABYTE,
        metavar="MB",
        help=f"size of a recording, in MiB (default {LIMITS.upload_bytes // MEGABYTE})",
    )
    group.add_argument(
        "--idle-timeout",
        type=above_zero,
        default=LIMITS.idle_seconds,
        metavar="SECONDS",
        help=f"close a socket whose client sends nothing for so long (default {LIMITS.idle_seconds:g})",
    )


def _add_life(group: argparse._ArgumentGroup) -> None:
    add_delay(group, ", in sessions that ask for no delay")
    group.add_argument(
        "--idle-unload",
        type=above_zero,
        metavar="MINUTES",
        help="free the model's memory after so long without a session; the next session loads it again"
        " (default: never)",
    )
    group.add_argument(
        "--grace",
        type=not_negative,
        default=Settings.grace,
        metavar="SECONDS",
        help=f"how long open sessions may take to finish when the server ends (default {Settings.grace:g})",
    )


def _host(text: str) -> str:
    if found := re.fullmatch(r"(?:\w+://)?(\[.*\]|[^:/]*)(?::(\d+))?/?", text):
        name, port = found[1].strip("[]"), found[2]
        if text != name:
            right = f"--host {name or Settings.host}" + (f" --port {port}" if port else "")
            raise argparse.ArgumentTypeError(f"{shown(text)} is more than a name; write {right}")
    return text


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a port, a number from 0 to 65535")
    return int(text)


def _origin(text: str) -> str:
    if text == "*":
        return text
    try:
        parts = urlsplit(text.lower().removesuffix("/"))
        valid = parts.scheme and parts.hostname and parts.port != -1
    except ValueError:
        valid = False
    if not valid or parts.geturl() != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not an origin, such as https://app.example.org")
    return parts.geturl()

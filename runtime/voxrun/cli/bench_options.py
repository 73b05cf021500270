"""The command line of `voxrun bench`."""

import argparse
from collections.abc import Iterator

from .model_options import add_model, choose_model, mistakes_of_model
from .numbers import path, speed_of_memory
from .parser import RECORDINGS, STDIN, STDOUT, Help, Parser

DESCRIPTION = (
    "Measure how fast this machine computes a model: load, passes of decoder and encoder, a whole"
    " transcription, memory; compare that with the limit that the memory's bandwidth sets; and propose how"
    " many positions to compute in a pass."
)
EPILOG = """\
examples:
  voxrun bench --model out/tiny/4bit            a table
  voxrun bench --model out/tiny/4bit --report bench.md
                                                and a report to send, without names and paths
  voxrun bench --model out/tiny/4bit --audio talk.flac
                                                with the tokens of this speech
  voxrun bench --model out/tiny/4bit --tuning tuning.json
                                                then VOXRUN_TUNING=tuning.json voxrun ...

Nothing else should run on the machine meanwhile. Ctrl-C ends it, and no file is written.

exit codes:
  0         all was measured and written
  1         standard output was closed by its reader
  2         bad options, model or sound; a file cannot be written
  129, 130, 143
            ended by SIGHUP (129), Ctrl-C (130) or SIGTERM (143)

A recording that is called bench is transcribed by: voxrun ./bench
"""


def parser() -> Parser:
    """The command line."""
    p = Parser(
        prog="voxrun bench",
        usage="voxrun bench [OPTION ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    p.add_argument(RECORDINGS, nargs="*", help=argparse.SUPPRESS)
    add_model(p.add_argument_group("model"))
    _add_measuring(p.add_argument_group("measuring"))
    _add_results(p.add_argument_group("results"))
    return p


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; leaves the program, with code 2, if it makes no sense."""
    p = parser()
    args = p.read(argv)
    choose_model(args)
    if len(args.audio) > 1:
        p.error(f"one recording is enough, not {len(args.audio)}")
    if mistake := next(filter(None, (*mistakes_of_model(args), *_mistakes_of_files(args))), None):
        p.error(mistake)
    return args


def _mistakes_of_files(args: argparse.Namespace) -> Iterator[str]:
    if STDIN in args.audio:
        yield "the recording must be a file, not standard input"
    if path(STDOUT) in (args.report, args.tuning):
        yield "--report and --tuning need the name of a file: standard output has the table"


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--audio",
        action="append",
        dest=RECORDINGS,
        metavar="FILE",
        help="a recording with speech, of which up to a minute is transcribed (default: noise; how often"
        " guesses are right is then taken from speech that the tiny model transcribed)",
    )
    group.add_argument(
        "--bandwidth",
        type=speed_of_memory,
        metavar="GB/s",
        help="how fast the device reads its memory (default: from a table of GPUs; else measured)",
    )
    group.add_argument("--quick", action="store_true", help="fewer and shorter measurements")


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--json", action="store_true", help="print all figures as JSON instead of a table")
    group.add_argument("--report", type=path, metavar="FILE", help="write all as Markdown, to send")
    group.add_argument(
        "--tuning", type=path, metavar="FILE", help="write the proposed tuning, which VOXRUN_TUNING=FILE uses"
    )

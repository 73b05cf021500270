"""The command line of `voxrun`."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from voxrun import __version__
from voxrun.errors import AudioError
from voxrun.files.descriptors import descriptor_at
from voxrun.habits import device_advice
from voxrun.transcripts.typesetting.layout import CUE, HIGHLIGHT, MOST_LINES, Layout
from voxrun.transcripts.writers import WRITERS

from .arguments import ignored_input, misplaced_model, not_a_recording
from .model_options import add_delay, add_model, choose_model, mistakes_of_model
from .numbers import count, number, path, positive
from .parser import RECORDINGS, STDIN, STDOUT, Help, Parser

if TYPE_CHECKING:
    from voxrun.audio.choice import Raw

DESCRIPTION = (
    "Transcribe recordings, streams and the microphone with MLX weights of Voxtral-Mini-4B-Realtime."
    " Standard output carries the transcript, nothing else."
)
EPILOG = """\
examples:
  voxrun talk.m4a interview.mp3               a line of text for each
  voxrun talk.flac --output talk.srt          subtitles
  voxrun *.flac --format json --output out/   a file for each
  ffmpeg -v error -i URL -f wav - | voxrun -  a stream
  voxrun                                      the microphone, until Ctrl-C
  voxrun talk.flac --model out/tiny/4bit      weights from a folder
  voxrun serve --model out/tiny/4bit          a server for apps (voxrun serve --help)
  voxrun bench --model out/tiny/4bit          how fast this machine is (voxrun bench --help)

Ctrl-C, SIGTERM or SIGHUP ends the sound: what was heard is still printed. A \
second one aborts. A file for --output is not written if only a part of its \
recording was heard; from the microphone and a pipe, all that was heard is.

exit codes:
  0         all was transcribed; microphone and pipe: also if Ctrl-C ended them
  1         standard output was closed by its reader
  2         bad options, model, sound or output; a bad recording's line is \
empty, and the others are still transcribed
  129, 130, 143
            SIGHUP (129), Ctrl-C (130) or SIGTERM (143) ended a recording, or \
aborted
"""


def parser() -> Parser:
    """The command line."""
    p = Parser(
        prog="voxrun",
        usage="voxrun [FILE ...] [OPTION ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,  # what a script means must not depend on the options to come
    )
    p.add_argument(
        "--version", action="version", version=f"voxrun {__version__}", help="print the version, and exit"
    )
    _add_sound(p.add_argument_group("sound (default: the microphone)"))
    _add_model(p.add_argument_group("model"))
    _add_results(p.add_argument_group("results"))
    _add_decoding(p.add_argument_group("decoding"))
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; leaves the program, with code 2, if it makes no sense."""
    p = parser()
    args = p.read(sys.argv[1:] if argv is None else argv)
    args.format = args.format or _format_of(args.output)
    if args.output == STDOUT or descriptor_at(args.output or "") == 1:
        args.output = None
    choose_model(args)
    from voxrun.audio.choice import Choice  # --help and most mistakes do not need it

    args.choice = Choice(args.track, args.channel, args.raw)
    args.layout = Layout(args.line_length, args.lines, args.words, args.timestamps)
    mistake = next(filter(None, _mistakes(args)), None)
    if mistake:
        p.error(mistake)
    return args


def _mistakes(args: argparse.Namespace) -> Iterator[str | None]:
    """What is found wrong without opening a file. A bad recording among others is reported in its turn."""
    yield from _mistakes_of_recordings(args)
    yield from mistakes_of_model(args)
    if args.device is not None:
        yield device_advice(args.device)
        if args.audio:
            yield f"--device is a microphone, {args.audio[0]} a recording: choose one"
    yield from _mistakes_of_format(args)


def _mistakes_of_recordings(args: argparse.Namespace) -> Iterator[str | None]:
    yield from map(misplaced_model, args.audio)
    reasons = [not_a_recording(name) for name in args.audio]
    if all(reasons):
        yield from reasons
    if STDIN in args.audio and len(args.audio) > 1:
        yield "-: standard input cannot be one of several recordings"
    if not (args.audio or args.device or args.list_devices):
        yield ignored_input()
    if not args.audio and (args.track or args.channel or args.raw):
        yield "--track, --channel and --raw are of a recording: name one, or - for standard input"
    if args.raw and args.track:
        yield "--raw and --track: raw samples have no tracks"


def _mistakes_of_format(args: argparse.Namespace) -> Iterator[str | None]:
    writer, layout = WRITERS[args.format], args.layout
    if args.alternatives and not writer.shows_alternatives:
        able = (name for name, writer in WRITERS.items() if writer.shows_alternatives)
        yield f"--alternatives appear in --format {' or '.join(able)} only"
    for option in layout.asked:
        if option not in writer.takes:
            able = (name for name, writer in WRITERS.items() if option in writer.takes)
            yield f"{option} belongs to --format {' or '.join(able)}, not {args.format}"
    if layout.words == CUE and (args.line_length or args.lines):
        yield f"--words {CUE} has one word in a cue: --line-length and --lines do not belong to it"
    document = writer.kind(live=False, watched=False, layout=layout)
    if len(args.audio) > 1 and document.needs_files and args.output is None:
        times = " with times" * args.timestamps
        yield f"several recordings as {args.format}{times} need --output FOLDER"


def _format_of(output: str | None) -> str:
    suffix = path(output or "").suffix[1:].lower()
    return suffix if suffix in WRITERS else "txt"


def _add_sound(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        RECORDINGS,
        nargs="*",
        metavar="FILE",
        help="recordings, audio or video; or - for standard input",
    )
    group.add_argument(
        "--audio",
        metavar="FILE",
        dest=RECORDINGS,
        default=argparse.SUPPRESS,
        help="the same; FILE may begin with a dash, as all behind -- may",
    )
    group.add_argument(
        "--track",
        type=positive,
        metavar="N",
        help="the sound track to hear, from 1 (default: the first)",
    )
    group.add_argument(
        "--channel",
        type=positive,
        metavar="N",
        help="the channel to hear, from 1 (default: the average of all)",
    )
    group.add_argument(
        "--raw",
        type=_raw,
        metavar="CODEC:RATE[:CHANNELS]",
        help="raw samples without a header, such as s16le:16000",
    )
    group.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="how many recordings to hear at once (default: as many as suit device and memory, at most 8)",
    )
    group.add_argument("--device", metavar="NAME|NUMBER", help="which microphone")
    group.add_argument("--list-devices", action="store_true", help="print the microphones, and exit")


def _add_model(group: argparse._ArgumentGroup) -> None:
    add_model(group)
    group.add_argument(
        "--write-lock", type=path, metavar="FILE", help="verify the model, and write such a lock of it"
    )


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        type=str.lower,
        choices=list(WRITERS),
        help="; ".join(f"{name}: {writer.about}" for name, writer in WRITERS.items())
        + " (default: by the name of --output, else txt)",
    )
    group.add_argument(
        "--output",
        metavar="PATH",
        help="file to write, or - for standard output, the default; or a folder (there already, ending in /,"
        " or without a suffix for several recordings), which gets NAME.FORMAT for each; a file appears when"
        " it is complete",
    )
    group.add_argument(
        "--line-length",
        type=positive,
        metavar="N",
        help="srt, vtt: columns of a line; a wide character takes two (default: 42; Chinese and Korean 32;"
        " Japanese 26)",
    )
    group.add_argument(
        "--lines",
        type=positive,
        metavar="N",
        help=f"srt, vtt: most lines of a subtitle (default {MOST_LINES})",
    )
    group.add_argument(
        "--words",
        choices=[CUE, HIGHLIGHT],
        help=f"{CUE}: a cue (tsv: a row) for each word; {HIGHLIGHT}: vtt marks each word when it is spoken",
    )
    group.add_argument(
        "--timestamps", action="store_true", help="txt: a line for each segment, with its times"
    )
    group.add_argument(
        "--alternatives",
        type=count,
        default=0,
        metavar="N",
        help="json: the N likeliest tokens at each position of a word, with their probabilities",
    )
    group.add_argument(
        "--stats", action="store_true", help="print device, speed and memory to stderr in the end"
    )


def _add_decoding(group: argparse._ArgumentGroup) -> None:
    add_delay(group)
    group.add_argument(
        "--temp", type=number, default=0.0, metavar="T", help="sampling temperature (default 0: greedy)"
    )
    group.add_argument("--seed", type=count, default=0, metavar="N", help="of the sampling (default 0)")
    group.add_argument(
        "--unstick",
        action="store_true",
        help="wake a model that says nothing for over 16 s: handicaps silence by up to 7 logits (off: files;"
        " useful: live)",
    )


def _raw(text: str) -> "Raw":
    from voxrun.audio.choice import Raw

    try:
        return Raw.parse(text)
    except AudioError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

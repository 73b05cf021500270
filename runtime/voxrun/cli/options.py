"""The command line of `voxrun`."""

import argparse
import os
from pathlib import Path

from voxrun import __version__
from voxrun.transcripts.layout import CUE, HIGHLIGHT, MOST_LINES, Layout
from voxrun.transcripts.writers import WRITERS
from voxrun.trust.defaults import DEFAULT_REGISTRY, REGISTRY_VARIABLE

DEFAULT_MODEL = "mlx-community/Voxtral-Mini-4B-Realtime-6bit"
MODEL_VARIABLE = "VOXRUN_MODEL"
STDIN = "-"
DESCRIPTION = """\
Transcribe recordings, streams and the microphone with MLX weights of
Voxtral-Mini-4B-Realtime. Standard output carries the transcript, nothing else.
"""
EPILOG = """\
examples:
  voxrun --audio talk.flac interview.mp3       a line of text for each
  voxrun --audio talk.flac --output talk.srt   subtitles
  voxrun --audio *.flac --format json --output out/
  ffmpeg -v error -i URL -f wav - | voxrun --audio -
  voxrun                                       the microphone, until Ctrl-C
  voxrun --model registry:Voxtral-4bit@v1      weights from the local registry

Ctrl-C or SIGTERM ends the sound: what was heard until then is still printed.
A second one aborts. A file for --output is not written if only a part of
its recording was heard; from the microphone and a pipe, all that was heard is.

exit codes:
  0    all was transcribed; microphone and pipe: also if Ctrl-C ended them
  1    standard output was closed by its reader
  2    bad input: its line is empty, other files are still transcribed
  130  Ctrl-C ended a file, or aborted (143: SIGTERM did)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="voxrun",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--version", action="version", version=f"voxrun {__version__}")
    _add_sound(p.add_argument_group("sound (default: the microphone)"))
    _add_model(p.add_argument_group("model"))
    _add_results(p.add_argument_group("results"))
    _add_decoding(p.add_argument_group("decoding"))
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; leaves the program, with code 2, if it makes no sense."""
    p = parser()
    args = p.parse_args(argv)
    args.format = args.format or _format_of(args.output)
    files = args.audio or []
    if args.model is None and args.lock is None:
        args.model = os.environ.get(MODEL_VARIABLE, DEFAULT_MODEL)
    if STDIN in files and len(files) > 1:
        p.error("--audio -: standard input cannot be one of several recordings")
    if args.device is not None and files:
        p.error("--device is a microphone, --audio a recording: choose one")
    if args.alternatives and not WRITERS[args.format].shows_alternatives:
        able = (name for name, writer in WRITERS.items() if writer.shows_alternatives)
        p.error(f"--alternatives appear in --format {' or '.join(able)} only")
    args.layout = _layout(p, args)
    writer = WRITERS[args.format].kind(live=False, watched=False, layout=args.layout)
    if len(files) > 1 and writer.needs_files and args.output is None:
        p.error(f"several recordings as {args.format}{' with times' * args.timestamps} need --output FOLDER")
    return args


def _layout(p: argparse.ArgumentParser, args: argparse.Namespace) -> Layout:
    """The layout that is asked for; leaves the program if the format cannot have it."""
    layout = Layout(args.line_length, args.lines, args.words, args.timestamps)
    for option in layout.asked:
        if option not in WRITERS[args.format].takes:
            able = [name for name, writer in WRITERS.items() if option in writer.takes]
            p.error(f"{option} belongs to --format {' or '.join(able)}, not {args.format}")
    if layout.words == CUE and (args.line_length or args.lines):
        p.error(f"--words {CUE} has one word in a cue: --line-length and --lines do not belong to it")
    return layout


def _format_of(output: str | None) -> str:
    suffix = Path(output or "").suffix[1:]
    return suffix if suffix in WRITERS else "txt"


def _add_sound(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--audio",
        nargs="+",
        metavar="FILE",
        help="recordings in any format libsndfile reads; or - for standard input: WAV of any rate and length,"
        " or raw s16le, mono, at 16 kHz",
    )
    group.add_argument("--device", metavar="NAME|NUMBER", help="which microphone")
    group.add_argument(
        "--list-devices", action="store_true", help="print the microphones there are, and exit"
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        metavar="PATH|REPO",
        help="folder; owner/name of the Hub; or registry:NAME of the local registry, with or without owner;"
        f" those two may end in @TAG (default: that of --lock, else ${MODEL_VARIABLE}, else {DEFAULT_MODEL})",
    )
    group.add_argument("--revision", help="tag, branch or commit of a repository, as behind the @")
    group.add_argument(
        "--registry",
        type=Path,
        metavar="DIR",
        help="local registry to find the repository in, whether it is named registry:NAME or not"
        f" (default for registry:NAME: ${REGISTRY_VARIABLE}, else {DEFAULT_REGISTRY})",
    )
    group.add_argument(
        "--verify",
        nargs="?",
        const=True,
        default=False,
        type=_key,
        metavar="KEY",
        help="load nothing unless every file has the hash that the manifest says; with KEY, a public key,"
        " unless they are signed with its private key",
    )
    group.add_argument(
        "--lock",
        type=Path,
        metavar="FILE",
        help="load nothing but the model that this voxrun.lock names, and verify it",
    )
    group.add_argument(
        "--write-lock", type=Path, metavar="FILE", help="verify the model, and write such a lock of it"
    )


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        choices=list(WRITERS),
        help="; ".join(f"{name}: {writer.about}" for name, writer in WRITERS.items())
        + " (default: by the name of --output, else txt)",
    )
    group.add_argument(
        "--output",
        metavar="PATH",
        help="file to write instead of standard output; or a folder (there already, ending in /, or for"
        " several recordings), which gets NAME.FORMAT for each; a file appears when it is complete",
    )
    group.add_argument(
        "--line-length",
        type=_positive,
        metavar="N",
        help="srt, vtt: columns of a line; a wide character takes two (default: 42; Chinese and Korean 32;"
        " Japanese 26)",
    )
    group.add_argument(
        "--lines",
        type=_positive,
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
        type=_count,
        default=0,
        metavar="N",
        help="json: the N likeliest tokens at each position of a word, with their probabilities",
    )
    group.add_argument("--stats", action="store_true", help="print speed and memory to stderr in the end")


def _add_decoding(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--delay-ms",
        type=float,
        metavar="MS",
        help="how long the model listens before it writes: 80 to 1200 in steps of 80, or 2400"
        " (default: the model's own, 480)",
    )
    group.add_argument(
        "--temp", type=float, default=0.0, metavar="T", help="sampling temperature (default 0: greedy)"
    )
    group.add_argument("--seed", type=_count, default=0, metavar="N", help="of the sampling (default 0)")
    group.add_argument(
        "--unstick",
        action="store_true",
        help="wake a model that says nothing for over 16 s: handicaps silence by up to 7 logits (off: files;"
        " useful: live)",
    )


def _key(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path of a public key is empty")
    return Path(text)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number

"""`voxrun`: nothing but the transcript on stdout; progress and errors on stderr."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from . import __version__
from .audio import FileSource, Microphone, sounddevice_library
from .errors import AudioError, VoxrunError
from .transcriber import DEFAULT_MODEL, Transcriber

MODEL_VARIABLE = "VOXRUN_MODEL"
BAD_INPUT = 2
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="voxrun",
        description="Transcribe recordings, or the microphone, with MLX weights of Voxtral-Mini-4B-Realtime.",
        epilog="Exit codes: 0 all was transcribed, 2 bad input (in a list of files its line stays"
        " empty and the others are still transcribed), 130 interrupted.",
    )
    p.add_argument(
        "--audio",
        nargs="+",
        metavar="FILE",
        help="recordings in any format libsndfile reads; without it, listen to the microphone",
    )
    p.add_argument(
        "--model",
        default=os.environ.get(MODEL_VARIABLE, DEFAULT_MODEL),
        metavar="PATH|REPO",
        help=f"folder or owner/name (default: ${MODEL_VARIABLE}, else {DEFAULT_MODEL})",
    )
    p.add_argument("--revision", help="tag, branch or commit of a repository")
    p.add_argument("--registry", type=Path, metavar="DIR", help="local registry to find the repository in")
    p.add_argument(
        "--delay-ms",
        type=float,
        metavar="MS",
        help="how long the model listens before it writes: 80 to 1200 in steps of 80, or 2400"
        " (default: the model's own, 480)",
    )
    p.add_argument(
        "--temp", type=float, default=0.0, metavar="T", help="sampling temperature (default 0: greedy)"
    )
    p.add_argument("--version", action="version", version=f"voxrun {__version__}")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    options = {"delay_ms": args.delay_ms, "temperature": args.temp}
    try:
        if not args.audio:
            sounddevice_library()  # before a model of gigabytes is loaded for nothing
        transcriber = Transcriber.open(args.model, revision=args.revision, registry=args.registry)
        if args.audio:
            return _files(transcriber, args.audio, options)
        return _microphone(transcriber, options)
    except VoxrunError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone: nothing left to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _files(transcriber: Transcriber, paths: list[str], options: dict[str, float]) -> int:
    code = 0
    for path in paths:
        try:
            print(_file(transcriber, path, options), flush=True)
        except AudioError as error:
            code = _complain(error)
            print(flush=True)  # line k of the output is file k
    return code


def _file(transcriber: Transcriber, path: str, options: dict[str, float]) -> str:
    seconds = FileSource(path, transcriber.rate).seconds
    with tqdm(total=round(seconds, 1), unit="s", desc=Path(path).name, disable=None, leave=False) as bar:

        def advance(seconds: float, text: str) -> None:
            bar.update(seconds)

        transcript = transcriber.transcribe(path, progress=advance, **options)
    return " ".join(transcript.text.split())  # one line, whatever the model wrote


def _microphone(transcriber: Transcriber, options: dict[str, float]) -> int:
    """Print words as they come until Ctrl-C, then what was recorded by then; a second Ctrl-C breaks off.

    The first must not interrupt the model: its caches would be left half updated.
    """
    microphone = Microphone(transcriber.rate, transcriber.model.config.audio.samples_per_position)

    def stop(signum: int, frame: FrameType | None) -> None:
        microphone.stop()
        signal.signal(signum, _interrupt)

    session = transcriber.session(live=True, **options)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    for number, samples in enumerate(microphone):
        if number == 0:
            print("listening; Ctrl-C ends", file=sys.stderr)
        print(session.feed(samples), end="", flush=True)
    print(session.finish(), flush=True)
    return 0


def _complain(error: VoxrunError) -> int:
    print(f"voxrun: {error}", file=sys.stderr)
    return BAD_INPUT


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""Recordings that the ffmpeg command makes, heard by voxrun: seconds, samples and words as ffmpeg's.

    python benchmarks/containers.py --out docs/benchmarks/containers.md

Every container and codec of `tests/recordings/matrix.py`, of one to eight channels, at 8 to 192 kHz where the
codec can. Each is read as a file and through a pipe. Needs the `dev` extra, which brings ffmpeg.
"""

import argparse
import io
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from voxrun.bench.tables import markdown

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.append(str(Path(__file__).resolve().parents[1]))  # tests/ has a folder voxbuild, too

from recordings.matrix import KINDS, Kind, Made, ffmpeg, made
from recordings.sounds import clip

from voxbuild.statistics.errors import errors_over
from voxbuild.statistics.normalise import normaliser_for
from voxrun.audio.file import FileSource
from voxrun.audio.opened import open_audio
from voxrun.audio.source import Source
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("prompts/to-call-this-number", "prompts/please-try-again", "prompts/vm-tempgreeting")
WERS = ("WER at 8 kHz, %", "above, %")
SHORTER = 0.001
"""Seconds by which a whole recording may be shorter than ffmpeg's."""
HEAD = """# Recordings that ffmpeg makes

{made} files in {kinds} kinds of containers and codecs, of one to eight channels, at {rates}, made by
{version} from {seconds:.1f} s of {clips} clips; of the FLAC the embedded model hears
"{text}".

- *heard*: how many are heard to the end, with nothing told as lost; *differs*: by how many milliseconds at
  most from what ffmpeg decodes (padding of the encoder at the end);
- *same samples*: how many of the lossless ones are bit for bit what ffmpeg decodes;
- *pipe*: how many give the same samples through a pipe;
- *WER*: of what the model hears, against what it hears in the FLAC; 8 kHz has half of its band.

Made by `python benchmarks/containers.py --out docs/benchmarks/containers.md`.

"""


@dataclass(frozen=True)
class Heard:
    """What voxrun makes of one file."""

    made: Made
    is_whole: bool
    """Whether it is heard to the end, with nothing told as lost."""
    differs: float
    """Seconds by which it differs from ffmpeg's."""
    same_samples: bool
    same_piped: bool
    text: str


def main() -> None:
    """Make, hear, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "tiny/checkpoint", help="a folder")
    parser.add_argument("--out", type=Path, help="write the tables to this file, too")
    parser.add_argument("--kind", default="", help="only kinds whose name holds this")
    args = parser.parse_args()
    sound = np.concatenate([clip(name) for name in CLIPS])
    transcriber = Transcriber.open(args.model)
    said = transcript(transcriber, sound.tobytes())
    rows: dict[Kind, list[Heard]] = {}
    for kind in KINDS:
        if args.kind in kind.name:
            with tempfile.TemporaryDirectory() as folder:
                rows[kind] = [heard(each, transcriber) for each in made(kind, sound, Path(folder))]
            print(row(kind, rows[kind], said), flush=True)
    text = document(rows, sound, said)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


def heard(made: Made, transcriber: Transcriber) -> Heard:
    """A file, a pipe, the samples and the words."""
    theirs = made.samples.mean(axis=1, dtype=np.float32)
    try:
        native = samples(FileSource(made.path, made.rate))
        source = FileSource(made.path, transcriber.rate)
        ours = samples(source)
        piped = samples(open_audio(Unseekable(made.path.read_bytes()), transcriber.rate))
    except AudioError as error:
        print(f"{made.path.name}: {error}", file=sys.stderr)
        return Heard(made, False, made.seconds, False, False, "")
    return Heard(
        made,
        source.whole and len(native) >= len(theirs) - SHORTER * made.rate,
        abs(len(native) - len(theirs)) / made.rate,
        np.array_equal(native, theirs),
        np.array_equal(ours, piped),
        transcript(transcriber, ours.tobytes()),
    )


class Unseekable(io.BytesIO):
    """Bytes that can be read once, as a pipe's."""

    def seekable(self) -> bool:
        """No."""
        return False


def samples(source: Source) -> np.ndarray:
    """All of it."""
    return np.concatenate(list(source))


@cache
def transcript(transcriber: Transcriber, data: bytes) -> str:
    """The words of float32 samples; most kinds give the same samples."""
    sound, session = np.frombuffer(data, np.float32), transcriber.session()
    return (session.feed(sound).text + session.finish().text).strip()


def row(kind: Kind, files: list[Heard], said: str) -> list[str]:
    """A line of the table."""
    count = len(files)
    by_rate = defaultdict(list)
    for each in files:
        by_rate["8" if each.made.rate == 8000 else "more"].append(each.text)
    wers = [wer(by_rate[band], said) for band in ("8", "more")]
    return [
        kind.name,
        str(count),
        str(sum(each.is_whole for each in files)),
        f"{1000 * max(each.differs for each in files):.0f}",
        str(sum(each.same_samples for each in files)) if kind.lossless else "-",
        str(sum(each.same_piped for each in files)),
        *wers,
    ]


def wer(texts: list[str], said: str) -> str:
    """In per cent, against one text."""
    digits = normaliser_for("en", digits=True)
    return f"{errors_over([said] * len(texts), texts, digits).wer:.1f}" if texts else "-"


def document(rows: dict[Kind, list[Heard]], sound: np.ndarray, said: str) -> str:
    """The page."""
    files = [each for kind in rows.values() for each in kind]
    rates = sorted({each.made.rate for each in files})
    version = ffmpeg("-version").stdout.decode().split(" Copyright")[0]
    head = HEAD.format(
        made=len(files),
        kinds=len(rows),
        rates=", ".join(f"{rate / 1000:g}" for rate in rates) + " kHz",
        version=version,
        seconds=len(sound) / 16000,
        clips=len(CLIPS),
        text=said,
    )
    titles = ["container and codec", "files", "heard", "differs, ms", "same samples", "pipe", *WERS]
    return head + markdown(titles, [row(kind, each, said) for kind, each in rows.items()]) + "\n"


if __name__ == "__main__":
    main()

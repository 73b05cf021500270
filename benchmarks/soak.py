"""A session for hours: memory, cost, clock and text must be at the end what they were at the beginning.

python benchmarks/soak.py hours --hours 24     one stream, as fast as it goes
python benchmarks/soak.py realtime             an hour from a microphone that is not there, in real time
"""

import argparse
from pathlib import Path

from soak_audio import Speech
from soak_live import Live
from soak_record import Record
from soak_text import Aligner, alone, comparison, wer, word_end
from tqdm import tqdm

from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber

BLOCK = 5.0
"""Seconds fed at a time where speed is all, as of files."""


class Hours:
    """One live session, and all that is measured of it."""

    def __init__(self, transcriber: Transcriber, speech: Speech, record: Record, check: int) -> None:
        """`check`: keep the text of one piece in so many, 0: of none."""
        self._session: Session = transcriber.session(live=True)
        self._transcriber, self._speech, self._record = transcriber, speech, record
        self._check, self._aligner = check, Aligner()
        self._number = 0  # of pieces that are done
        self.kept: dict[int, str] = {}

    def run(self, seconds: float, every: float) -> None:
        """Until `seconds` of audio; a row each `every` seconds, at the next piece's end."""
        due, index = every, 0
        with tqdm(total=round(seconds), unit="s", unit_scale=True, mininterval=1) as bar:
            while self._session.seconds < seconds:
                self._hear(index)
                index += 1
                if self._session.seconds >= min(due, seconds):
                    due += every
                    self._row()
                bar.update(round(self._session.seconds) - bar.n)

    def _hear(self, index: int) -> None:
        piece, rate = self._speech.piece(index), self._speech.rate
        self._aligner.expect(piece, self._session.seconds, rate)
        step = round(BLOCK * rate)
        for start in range(0, len(piece.samples), step):
            self._aligner.hear(self._record.feed(self._session, piece.samples[start : start + step]))

    def _row(self) -> None:
        pieces = self._aligner.take()
        for number, piece in enumerate(pieces, self._number):
            if self._check and number % self._check == 0:
                self.kept[number] = piece.text
        self._number += len(pieces)
        rate = wer([piece.said for piece in pieces], [piece.text for piece in pieces])
        self._record.row(self._session.seconds, wer=rate, word_end=word_end(pieces))

    def compare(self) -> str:
        """The kept pieces again, each by a session of its own."""
        pairs = [alone(self._transcriber, self._speech, number) for number in tqdm(self.kept, unit="piece")]
        return comparison([said for said, _ in pairs], list(self.kept.values()), [text for _, text in pairs])


def hours(args: argparse.Namespace, transcriber: Transcriber, speech: Speech, record: Record) -> None:
    """As fast as it goes."""
    stream = Hours(transcriber, speech, record, args.check)
    try:
        stream.run(3600 * args.hours, 60 * args.every)
    except KeyboardInterrupt:
        print("interrupted")
    print(record.summary())
    if stream.kept:
        print(stream.compare())


def realtime(args: argparse.Namespace, transcriber: Transcriber, speech: Speech, record: Record) -> None:
    """As slowly as it is spoken."""
    live = Live(transcriber, speech, record)
    try:
        live.run(60 * args.minutes, 60 * args.every)
    except KeyboardInterrupt:
        print("interrupted")
    print(record.summary())
    print(live.summary())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", type=Path, default=Path("tiny/checkpoint"))
    common.add_argument("--clips", type=Path, default=Path("tiny/clips"), help="folders with transcripts.tsv")
    common.add_argument("--out", type=Path, default=Path("docs/soak"), help="folder for the CSV and the plot")
    common.add_argument("--seed", type=int, default=0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    fast = commands.add_parser("hours", parents=[common])
    fast.add_argument("--hours", type=float, default=24.0)
    fast.add_argument("--every", type=float, default=10.0, help="minutes of audio between two rows")
    fast.add_argument(
        "--check", type=int, default=0, metavar="N", help="hear one piece in N by itself too, and compare"
    )
    fast.set_defaults(run=hours, name="hours")
    slow = commands.add_parser("realtime", parents=[common])
    slow.add_argument("--minutes", type=float, default=60.0)
    slow.add_argument("--every", type=float, default=0.5, help="minutes between two rows")
    slow.set_defaults(run=realtime, name="realtime")
    return parser


def main() -> None:
    """Ctrl-C ends a run early; what was measured by then is written."""
    args = parser().parse_args()
    transcriber = Transcriber.open(args.model)
    speech = Speech(args.clips, transcriber.rate, args.seed)
    record = Record(args.out, args.name, transcriber.tokenizer.default_delay_ms / 1000)
    args.run(args, transcriber, speech, record)


if __name__ == "__main__":
    main()

"""The command `voxrun bench`."""

import argparse
from typing import TYPE_CHECKING

from .bench_options import parse
from .codes import BAD, DONE, READER_GONE
from .signals import Interruption

if TYPE_CHECKING:
    from pathlib import Path


def main(argv: list[str], interruption: Interruption | None = None) -> int:
    """Measure; return the exit code. Raises SystemExit after --help and for bad options."""
    args = parse(argv)
    interruption = interruption or Interruption()
    import logging  # --help waits for little

    from voxrun.errors import VoxrunError

    from .screen import show_log

    show_log()
    try:
        return _bench(args, interruption)
    except VoxrunError as error:
        logging.getLogger("voxrun").error("%s", error)
        return BAD
    except BrokenPipeError:  # stdout has no reader: end quietly
        return READER_GONE
    except KeyboardInterrupt:
        return interruption.exit_code


def _bench(args: argparse.Namespace, interruption: Interruption) -> int:
    import logging
    from pathlib import Path

    from voxrun.bench.conclusions import conclude
    from voxrun.bench.measure import Asked, Measurement
    from voxrun.bench.report import as_json, report, table, tuning_json
    from voxrun.bench.timing import QUICK, THOROUGH
    from voxrun.stream.tuning import tuning
    from voxrun.transcripts.output import Stdout, output_at
    from voxrun.trust.open import pinned_model, trusted

    places = [path for path in (args.report, args.tuning) if path is not None]
    _check(places, args.audio)  # before minutes are spent for nothing
    model = pinned_model(args.lock) if args.model is None else args.model
    folder = trusted(model, args.revision, args.registry, args.verify, args.lock)
    audio = Path(args.audio[0]) if args.audio else None
    asked = Asked(folder, QUICK if args.quick else THOROUGH, audio, args.bandwidth)
    results = Measurement(asked, lambda line: logging.getLogger("voxrun").info("bench: %s", line)).results()
    conclusions = conclude(results, tuning())
    documents = {
        args.report: report(results, conclusions, _command(args)),
        args.tuning: tuning_json(conclusions.proposed),
    }
    interruption.at_once = False  # until here a signal ends the process, and leaves nothing behind
    try:
        for path in places:
            with output_at(path, live=False) as output:
                output.write(documents[path])
    finally:  # what was measured for minutes is shown even if a disk is full
        with Stdout(live=False) as output:
            output.write((as_json if args.json else table)(results, conclusions))
    return DONE


def _check(places: "list[Path]", recordings: list[str]) -> None:
    """Raises OutputError if the results cannot be printed, or written without loss."""
    from voxrun.transcripts.output import Stdout, check_place, is_special
    from voxrun.transcripts.places import check_overwriting

    Stdout.check()
    check_overwriting(places, recordings, "the report and the tuning would both be written there")
    for path in places:
        if not is_special(path):
            check_place(path)


def _command(args: argparse.Namespace) -> str:
    """What was typed, without names of files."""
    words = ["voxrun bench --model MODEL"]
    words += ["--audio FILE"] if args.audio else []
    words += [f"--bandwidth {args.bandwidth:g}"] if args.bandwidth else []
    words += ["--quick"] if args.quick else []
    return " ".join(words)

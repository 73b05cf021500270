"""What `voxrun` does after its options are parsed; importing this imports all libraries."""

import argparse
import sys
from pathlib import Path

from voxrun.audio.microphone import input_devices
from voxrun.audio.source import Source, log
from voxrun.errors import AudioError, DeviceError, OutputError, VoxrunError
from voxrun.stream.session import Session
from voxrun.transcriber import Transcriber, listen
from voxrun.transcripts.output import Output, Stdout, output_at
from voxrun.transcripts.places import make_folder, places
from voxrun.transcripts.writer import Document, Recording, Writer
from voxrun.transcripts.writers import WRITERS
from voxrun.trust.locate import in_registry
from voxrun.trust.open import pinned_model, trusted
from voxrun.trust.pin import Pin

from .codes import BAD, DONE
from .screen import Screen, print_above, screen_for, show_log
from .signals import Interruption
from .sources import inputs
from .stats import Stats


def run(args: argparse.Namespace, interruption: Interruption) -> int:
    """Run the command; return its exit code."""
    show_log()
    try:
        if args.list_devices:
            with Stdout(live=False) as output:
                output.write("".join(f"{device}\n" for device in input_devices()))
            return DONE
        return Run(args, interruption).all()
    except VoxrunError as error:
        return _report(error)


class Run:
    """One run of the command: a model, then one recording after another, or live audio."""

    def __init__(self, args: argparse.Namespace, interruption: Interruption) -> None:
        self._args, self._interruption, self._stats = args, interruption, Stats()
        # What cannot be done is reported before a model of gigabytes is loaded for nothing.
        self._inputs = inputs(args.audio, args.device, args.choice)
        names = [each.name for each in self._inputs]
        self._places = places(args.output, names, args.format) if args.output else []
        if not self._places:
            Stdout.check()
        self._model = pinned_model(args.lock) if args.model is None else args.model
        self._output: Output | None = None
        self._transcriber = self._open()
        self._stats.loaded(self._model, self._transcriber.model, self._delay_ms)

    def _open(self) -> Transcriber:
        args = self._args
        verify = args.verify or args.write_lock is not None
        folder = trusted(self._model, args.revision, args.registry, verify, args.lock)
        transcriber = Transcriber.load(folder)
        self._interruption.at_once = False  # from now on there may be something to clean up
        if args.write_lock:
            write_lock(Pin.of(folder, in_registry(self._model, args.registry)), args.write_lock)
        return transcriber

    def all(self) -> int:
        """Transcribe everything; return the exit code."""
        try:
            return max(self._try(index) for index in range(len(self._inputs)))
        except KeyboardInterrupt:
            if self._output:
                self._output.abort()
            raise
        finally:
            if self._args.stats:
                print_above(f"voxrun: stats\n{self._stats.report()}")

    def _try(self, index: int) -> int:
        """Transcribe one input; a bad recording or place does not stop the others. Returns the exit code."""
        try:
            return DONE if self._transcribe(index) else BAD
        except AudioError as error:
            if not self._places and not self._inputs[index].live:
                with self._output_of(index) as output:
                    output.write(self._writer(index).failure(error))
            return _report(error)
        except OutputError as error:
            if not self._places:  # standard output, which all others share
                raise
            return _report(error)

    def _transcribe(self, index: int) -> bool:
        """Returns whether nothing of the recording is missing."""
        source, name = self._inputs[index].open(self._transcriber.rate), self._inputs[index].name
        screen = screen_for(source, name, index, len(self._inputs))
        with self._output_of(index) as output, screen:
            failure = self._listen(source, Document(self._writer(index)), output, screen)
            interrupted = source.stopped and not source.live
            if interrupted and self._places:
                log.warning("%s: interrupted; %s is not written", source.name, self._places[index])
                raise KeyboardInterrupt
        if interrupted:
            raise KeyboardInterrupt
        if failure:
            raise failure
        return source.whole

    def _listen(
        self, source: Source, document: Document, output: Output, screen: Screen
    ) -> VoxrunError | None:
        """Transcribe a source to its end, or to the failure of a live one, which is returned."""
        session, failure = self._session(source.live), None
        position = self._transcriber.model.config.audio.samples_per_position / self._transcriber.rate
        screen.done = lambda: session.n_tokens * position
        self._interruption.source = source
        self._stats.start()
        try:
            output.write(document.begin())
            for result in listen(session, source):
                text = document.add(result)
                screen.show(document.saying)
                output.write(text)
        except (AudioError, DeviceError) as error:
            if not (source.live and source.heard):
                raise
            failure = error
        finally:
            self._interruption.source = None
            self._stats.stop(source.heard, session.n_tokens, session.n_passes)
        output.write(document.end(source.heard))
        return failure

    def _session(self, live: bool) -> Session:
        return self._transcriber.session(
            delay_ms=self._args.delay_ms,
            temperature=self._args.temp,
            seed=self._args.seed,
            alternatives=self._args.alternatives,
            unstick=self._args.unstick,
            live=live,
        )

    @property
    def _delay_ms(self) -> float:
        default = self._transcriber.tokenizer.default_delay_ms
        return default if self._args.delay_ms is None else float(self._args.delay_ms)

    def _writer(self, index: int) -> Writer:
        name, live = self._inputs[index].name, self._inputs[index].live
        watched = live and not self._places and _is_watched()
        layout = self._args.layout
        kind = WRITERS[self._args.format].kind(live, watched, layout)
        return kind(Recording(name, self._model, self._delay_ms), layout)

    def _output_of(self, index: int) -> Output:
        live = self._inputs[index].live
        if self._places:
            make_folder(self._places[index])
            self._output = output_at(self._places[index], live)
        else:
            self._output = Stdout(live)
        return self._output


def write_lock(pin: Pin, path: Path) -> None:
    """Write a voxrun.lock, completely or not at all. Raises OutputError."""
    with output_at(path, live=False) as output:
        output.write(pin.text)


def _is_watched() -> bool:
    """Whether stderr shows the words in progress on the same terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def _report(error: VoxrunError) -> int:
    log.error("%s", error)
    return BAD

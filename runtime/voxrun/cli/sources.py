"""Which source a recording and `--device` name. A new kind is a class in `voxrun.audio` and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from voxrun.audio.choice import Choice
from voxrun.audio.file import FileSource
from voxrun.audio.microphone import INSTEAD, Microphone, sounddevice_library
from voxrun.audio.pipe import PipeSource, is_pipe, pipe_at
from voxrun.audio.source import Source
from voxrun.errors import AudioError

from .arguments import not_a_recording
from .parser import STDIN


@dataclass(frozen=True)
class Input:
    """A recording or live audio to transcribe."""

    name: str
    """Its name in JSON and in the names of output files."""
    live: bool
    """Whether it has no end of its own."""
    open: Callable[[int], Source]
    """Opens the source at a sampling rate in Hz. Raises AudioError."""


def inputs(audio: list[str] | None, device: str | None, choice: Choice | None = None) -> list[Input]:
    """What is to be transcribed, in order. Raises DeviceError if a microphone is needed without PortAudio."""
    if audio:
        return [recording(name, choice or Choice()) for name in audio]
    sounddevice_library(INSTEAD)
    return [Input("microphone", Microphone.live, partial(Microphone, device=device))]


def recording(name: str, choice: Choice) -> Input:
    """The input that one of the recordings names."""
    if name == STDIN:
        return Input("stdin", PipeSource.live, partial(PipeSource, choice=choice))
    if reason := not_a_recording(name):
        return Input(name, FileSource.live, partial(_refuse, reason))
    if is_pipe(name):
        return Input(name, PipeSource.live, partial(pipe_at, name, choice))
    return Input(name, FileSource.live, partial(FileSource, name, choice=choice))


def _refuse(reason: str, rate: int) -> NoReturn:
    raise AudioError(reason)

"""Stage `speak`: the training transcripts and the synthetic sentences, spoken by flite.

The first are spoken by one voice, to be aligned with the recordings; the second by four voices, to
be trained on. flite also says when it speaks each word and phone.
"""

import random
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from tiny.training import sentences, transcripts
from tiny.training.errors import TrainingError
from tiny.training.logmel import RATE
from tiny.training.split import load_split, refuse_held_out
from tiny.training.workspace import TRAINING, Workspace, written_whole

LIBRARIES = (  # noqa: SIM905
    "flite_cmu_us_slt flite_cmu_us_rms flite_cmu_us_awb flite_cmu_us_kal16 "
    "flite_usenglish flite_cmulex flite m"
).split()
REFERENCE_VOICE = "slt"
VOICES = ("slt", "slt", "slt", "rms", "rms", "awb", "kal16")  # drawn from
STRETCH = (0.82, 1.2)

TimedWord = tuple[str, float, float]  # word, start, end in seconds
TimedPhone = tuple[str, float]  # phone, end in seconds


@dataclass(frozen=True)
class Line:
    """A sentence to speak into `wav`; `stretch` multiplies all durations."""

    voice: str
    stretch: float
    wav: Path
    text: str


@dataclass(frozen=True)
class Utterance:
    """A spoken sentence; the words are those of `text`, the phones cover the whole of `wav`."""

    wav: Path
    voice: str
    text: str
    words: list[TimedWord]
    phones: list[TimedPhone]

    def samples(self) -> np.ndarray:
        """float32 [n], 16 kHz mono."""
        samples, rate = soundfile.read(self.wav, dtype="float32")
        return samples if rate == RATE else soxr.resample(samples, rate, RATE)


def reference_path(work: Workspace) -> Path:
    """What flite said of the training transcripts."""
    return work.path("speech", "reference.tsv")


def output(work: Workspace) -> Path:
    """What flite said of the synthetic sentences; the last file the stage writes."""
    return work.path("speech", "synthetic.tsv")


def run(work: Workspace) -> str:
    """Speak the transcripts (reference) and `scale` of the sentences (synthetic)."""
    program = compile_program(work)
    known = transcripts.load(work)
    keys = load_split().training(sorted(known))
    refuse_held_out(keys)
    reference = reference_path(work)
    spoken = [
        Line(REFERENCE_VOICE, 1.0, reference.with_suffix("") / f"{name(key)}.wav", known[key])
        for key in keys
    ]
    speak(program, spoken, reference)

    rng = random.Random(1)
    texts = sentences.load(work)
    texts = texts[: max(1, round(len(texts) * work.scale))]
    folder = output(work).with_suffix("")
    lines = [
        Line(rng.choice(VOICES), rng.uniform(*STRETCH), folder / f"{number:05d}.wav", text)
        for number, text in enumerate(texts)
    ]
    speak(program, lines, output(work))
    return f"{len(spoken)} transcripts and {len(lines)} sentences"


def name(key: str) -> str:
    """The file name of a recording key."""
    return key.replace("/", "_")


def compile_program(work: Workspace) -> Path:
    """speak.c as a program in the workspace."""
    program = work.path("speech", "speak")
    compiler = shutil.which("cc")
    if compiler is None:
        raise TrainingError("no C compiler named cc found (Debian: gcc)")
    program.parent.mkdir(parents=True, exist_ok=True)
    libraries = [f"-l{library}" for library in LIBRARIES]
    command = [compiler, "-O2", str(TRAINING / "speak.c"), "-o", str(program), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"cannot compile speak.c; is flite1-dev installed?\n{done.stderr}")
    return program


def speak(program: Path, lines: list[Line], result: Path) -> None:
    """Run the program over `lines`; its answers become the file `result`."""
    result.with_suffix("").mkdir(parents=True, exist_ok=True)
    script = result.with_suffix(".script")
    script.write_text("".join(f"{x.voice}\t{x.stretch:.2f}\t{x.wav}\t{x.text}\n" for x in lines))
    with (
        written_whole(result) as path,
        script.open() as source,
        path.open("wb") as answers,
        subprocess.Popen([program], stdin=source, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        progress = tqdm(process.stdout, desc=result.stem, total=len(lines), unit="line")
        answers.writelines(progress)
        if process.wait():
            raise TrainingError("flite failed; its message is above")


def read(path: Path) -> list[Utterance]:
    """The utterances of a file written by `speak`, those whose words flite changed left out."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [utterance for utterance in map(parse, lines) if utterance]


def parse(line: str) -> Utterance | None:
    """One answer of speak.c, or None if its words are not those of the text."""
    wav, voice, text, words, phones = line.split("\t")
    spoken = [(word, float(a), float(b)) for word, a, b in _fields(words)]
    timed = join_words(text, spoken)
    if timed is None:
        return None
    return Utterance(
        Path(wav), voice, text, timed, [(phone, float(end)) for phone, end in _fields(phones)]
    )


def _fields(column: str) -> Iterable[list[str]]:
    return (field.split(":") for field in column.split(" "))


def join_words(text: str, spoken: list[TimedWord]) -> list[TimedWord] | None:
    """The words of `text` with flite's times, or None if flite spoke others.

    flite splits some words (you're: you 're) and calls the letter a `_a`.
    """
    rest = [(word.strip("_").replace("'", ""), start, end) for word, start, end in spoken]
    joined = []
    for word in text.split():
        letters = word.replace("'", "")
        parts = []
        while rest and sum(len(part) for part, _, _ in parts) < len(letters):
            parts.append(rest.pop(0))
        if "".join(part for part, _, _ in parts) != letters:
            return None
        joined.append((word, parts[0][1], parts[-1][2]))
    return None if rest else joined

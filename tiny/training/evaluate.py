"""Stage `evaluate`: what a checkpoint hears, at several delays.

Word error rates on the committed clips (validation prompts, digits, chains), on the 20 reserved and
the 32 development recordings, minute by minute of a long stream, and on disturbed prompts; what it
says to silence and to noise; and how late its words come.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import jiwer
import numpy as np
import soundfile
import torch
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from tiny.training import disturbances, recordings, transcripts
from tiny.training.clips import CLIPS
from tiny.training.config import DELAY
from tiny.training.decode import hear, transcribe
from tiny.training.errors import TrainingError
from tiny.training.export import load_exported
from tiny.training.latency import shifts
from tiny.training.long_stream import error_rates, long_stream
from tiny.training.model import TinyVoxtral
from tiny.training.split import load_split
from tiny.training.workspace import Workspace, written_whole

DELAYS = (1, 3, 6, 12, 30)  # positions of 80 ms
LONG_SECONDS = 300.0
LONG_DELAYS = (1, 6, 12, 30)
ON_TIME = 1  # positions a word may be off its delay

Clips = dict[str, tuple[np.ndarray, str]]  # name -> int16 samples [n] and what is said


def output(work: Workspace) -> None:
    """Always run when asked for."""
    return None


def run(work: Workspace) -> str:
    """Decode everything; keep the texts in the workspace, return the figures."""
    torch.set_num_threads(1)  # the matrices are small: more threads wait for each other
    sets = evaluation_sets(work)
    model = load_exported(work.evaluated).eval()
    tekken = Tekkenizer.from_file(str(work.evaluated / "tekken.json"))
    texts: list[str] = []
    print(work.evaluated, flush=True)
    for line in figures(model, tekken, sets, texts):
        print(line, flush=True)
    with written_whole(work.path("evaluation.tsv")) as path:
        path.write_text("".join(texts), encoding="utf-8")
    return f"what was said and heard: {work.path('evaluation.tsv')}"


def figures(
    model: TinyVoxtral, tekken: Tekkenizer, sets: dict[str, Clips], texts: list[str]
) -> Iterator[str]:
    """The lines of the report; what was said and heard is added to `texts`."""
    yield f"WER % at ms (errors: sub/del/ins){' ':4}" + "".join(f"{80 * d:>16}" for d in DELAYS)
    for title, clips in sets.items():
        spoken = [said for _, said in clips.values()]
        heard = transcribe(model, tekken, [as_float(s) for s, _ in clips.values()], DELAYS)
        yield row(title, spoken, heard)
        for delay, rows in heard.items():
            triples = zip(clips, spoken, rows, strict=True)
            texts += [f"{title}\t{80 * delay}\t{name}\t{s}\t{h}\n" for name, s, h in triples]
    prompts = sets["validation"]
    yield from long_figures(model, tekken, prompts)
    yield from disturbed_figures(model, tekken, prompts)
    yield from latency_figures(model, tekken, prompts)


def row(title: str, spoken: list[str], heard: dict[int, list[str]]) -> str:
    """One line of the table: a set's error rates by delay."""
    words = sum(len(said.split()) for said in spoken)
    return f"{title:12s}{len(spoken):4d} clips{words:5d} words    " + "".join(
        f"{rate(spoken, texts):>16}" for texts in heard.values()
    )


def rate(spoken: list[str], heard: list[str]) -> str:
    """A word error rate and its substitutions, deletions and insertions."""
    found = jiwer.process_words(spoken, heard)
    return f"{100 * found.wer:.1f} ({found.substitutions}/{found.deletions}/{found.insertions})"


def long_figures(model: TinyVoxtral, tekken: Tekkenizer, clips: Clips) -> Iterator[str]:
    """Error rates in each minute of a long stream."""
    stream = long_stream(clips, LONG_SECONDS)
    seconds = f"{len(stream.samples) / recordings.RATE:.0f} s, {len(stream.words)} words"
    heard = transcribe(model, tekken, [as_float(stream.samples)], LONG_DELAYS)
    for delay, (said,) in heard.items():
        whole, minutes = error_rates(stream, said)
        each = " ".join(f"{minute:.0f}" for minute in minutes)
        yield f"stream of {seconds}, {80 * delay} ms: {whole:.1f} %, by minute {each}"


def disturbed_figures(model: TinyVoxtral, tekken: Tekkenizer, clips: Clips) -> Iterator[str]:
    """Error rates of disturbed prompts at the usual delay, and the words said without speech."""
    spoken = [said for _, said in clips.values()]
    for name, disturb in disturbances.DISTURBANCES.items():
        disturbed = [disturb(as_float(samples)) for samples, _ in clips.values()]
        heard = transcribe(model, tekken, disturbed, (DELAY,))[DELAY]
        yield f"validation, {name}, {80 * DELAY} ms: {rate(spoken, heard)}"
    for name, samples in disturbances.without_speech().items():
        heard = transcribe(model, tekken, [samples], DELAYS)
        words = " ".join(str(len(texts[0].split())) for texts in heard.values())
        yield f"{name}, words heard at the {len(DELAYS)} delays: {words}"


def latency_figures(model: TinyVoxtral, tekken: Tekkenizer, clips: Clips) -> Iterator[str]:
    """By how many positions words come later than at the usual delay."""
    written = hear(model, [as_float(samples) for samples, _ in clips.values()], DELAYS)
    for delay in DELAYS:
        late = shifts(tekken, written[DELAY], written[delay])
        if not len(late):
            yield f"latency at {80 * delay} ms: no word in common"
            continue
        near = 100 * (np.abs(late - (delay - DELAY)) <= ON_TIME).mean()
        expected = f"{delay - DELAY:+d} positions expected, {late.mean():+.2f} measured"
        yield f"latency at {80 * delay} ms: {expected}, {near:.0f} % of {len(late)} words within 1"


def evaluation_sets(work: Workspace) -> dict[str, Clips]:
    """All sets by name."""
    split = load_split()
    return {
        "validation": read_clips(CLIPS / "prompts"),
        "digits": read_clips(CLIPS / "digits"),
        "chains": read_clips(CLIPS / "chains"),
        "reserved": read_recordings(work, split.reserved),
        "development": read_recordings(work, split.development),
    }


def read_recordings(work: Workspace, keys: Iterable[str]) -> Clips:
    """These recordings with their transcripts."""
    known = transcripts.load(work)
    return {key: (recordings.load(work, key), known[key]) for key in keys}


def read_clips(folder: Path) -> Clips:
    """The clips listed in the folder's transcripts.tsv."""
    table = folder / "transcripts.tsv"
    if not table.exists():
        raise TrainingError(f"{table} is missing: run the stage 'clips' first")
    clips = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        name, said = line.split("\t")
        samples, _ = soundfile.read(folder / name, dtype="int16")
        clips[name] = samples, said
    return clips


def as_float(samples: np.ndarray) -> np.ndarray:
    """int16 samples as float32 in -1..1."""
    return samples.astype(np.float32) / 32768

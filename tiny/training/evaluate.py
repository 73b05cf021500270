"""Stage `evaluate`: word error rates of a checkpoint by the oracle, transformers.

On the committed clips (validation prompts, digits, chains) and on the 20 reserved recordings.
"""

from pathlib import Path

import jiwer
import numpy as np
import soundfile
import torch
from tqdm import tqdm

from tiny.training import recordings, transcripts
from tiny.training.clips import CLIPS
from tiny.training.errors import TrainingError
from tiny.training.oracle import load_transcriber
from tiny.training.split import load_split
from tiny.training.workspace import Workspace, written_whole

Clips = dict[str, tuple[np.ndarray, str]]  # name -> float32 samples [n] and what is said


def output(work: Workspace) -> None:
    """Always run when asked for."""
    return None


def run(work: Workspace) -> str:
    """Decode every set; keep the texts in the workspace, return the table of error rates."""
    torch.set_num_threads(1)  # the matrices are small: more threads wait for each other
    transcribe = load_transcriber(work.evaluated)
    rows = ["set              clips  words     WER  sub/del/ins  exact"]
    texts = []
    for title, clips in evaluation_sets(work).items():
        spoken = [text for _, text in clips.values()]
        heard = [
            transcribe(samples) for samples, _ in tqdm(clips.values(), desc=title, unit="clip")
        ]
        rows.append(row(title, spoken, heard))
        texts += [f"{name}\t{s}\t{h}\n" for name, s, h in zip(clips, spoken, heard, strict=True)]
    with written_whole(work.path("evaluation.tsv")) as path:
        path.write_text("".join(texts), encoding="utf-8")
    table = "\n".join(rows)
    return f"{work.evaluated}\n{table}\nwhat was said and heard: {work.path('evaluation.tsv')}"


def row(title: str, spoken: list[str], heard: list[str]) -> str:
    """One line of the table."""
    found = jiwer.process_words(spoken, heard)
    words = sum(len(text.split()) for text in spoken)
    errors = f"{found.substitutions}/{found.deletions}/{found.insertions}"
    exact = sum(s == h for s, h in zip(spoken, heard, strict=True))
    counts = f"{title:15s}  {len(spoken):5d}  {words:5d}"
    return f"{counts}  {100 * found.wer:4.1f} %  {errors:>11s}  {exact:5d}"


def evaluation_sets(work: Workspace) -> dict[str, Clips]:
    """All sets by name."""
    known = transcripts.load(work)
    reserved = load_split().reserved
    return {
        "validation": read_clips(CLIPS / "prompts"),
        "digits": read_clips(CLIPS / "digits"),
        "chains": read_clips(CLIPS / "chains"),
        "reserved": {key: (recordings.load_float(work, key), known[key]) for key in reserved},
    }


def read_clips(folder: Path) -> Clips:
    """The clips listed in the folder's transcripts.tsv."""
    table = folder / "transcripts.tsv"
    if not table.exists():
        raise TrainingError(f"{table} is missing: run the stage 'clips' first")
    clips = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        samples, _ = soundfile.read(folder / name, dtype="float32")
        clips[name] = samples, text
    return clips

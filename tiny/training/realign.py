"""Stage `realign`: a second alignment, by the phone head that phases A and B (or `adopt`) trained.

A Viterbi pass fits flite's phones of each transcript to the recording, with optional silence around
every word. It moves word ends little (median 0, 10 % / 90 % points -30 / +50 ms) and shows the
prompts whose recording does not fit the transcript; these are left out.
"""

from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tiny.training import align, alignment, features, speech, train
from tiny.training.alignment import Alignment
from tiny.training.config import PHONES
from tiny.training.dataset import PHONE_IDS
from tiny.training.model import TinyVoxtral
from tiny.training.phone_head import lagging_frames
from tiny.training.speech import Utterance
from tiny.training.workspace import Workspace

FRAME = 0.02  # seconds
WORST = -2.0  # mean log-likelihood per frame below which a transcript does not fit
FLOOR = -8.0  # of a frame's log-likelihood
BETWEEN = -1  # the word number of the silences


def output(work: Workspace) -> Path:
    """The second alignment of the training prompts."""
    return work.path("alignment-viterbi.json")


def run(work: Workspace) -> str:
    """Align anew what `align` aligned, with the weights of phase B."""
    model = TinyVoxtral()
    weights = work.needs(train.weights_path(work, "b"), "train-b")
    model.load_state_dict(torch.load(weights))
    model.eval()
    mels = features.load(work.needs(features.real_path(work), "features"))
    spoken = {x.wav.stem: x for x in speech.read(speech.reference_path(work))}
    before = alignment.load(work.needs(align.output(work), "align"))
    after, moved = {}, []
    for key, old in tqdm(before.items(), desc="realign", unit="clip"):
        likelihoods = phone_likelihoods(model, mels[key, 1.0])
        new, score = fit(likelihoods, spoken[speech.name(key)])
        moved += [b[2] - a[2] for a, b in zip(old.words, new.words, strict=True)]
        if score > WORST:
            after[key] = new
    if len(after) < len(before) / 2:
        alignment.save(output(work), before)
        return "the phone head is too poor (too short a run): first alignment kept"
    alignment.save(output(work), after)
    low, middle, high = 1000 * np.percentile(moved, [10, 50, 90])
    ends = f"word ends moved by {low:.0f}, {middle:.0f}, {high:.0f} ms (10, 50, 90 %)"
    return f"{len(after)} of {len(before)} prompts; {ends}"


@torch.no_grad()
def phone_likelihoods(model: TinyVoxtral, mel: np.ndarray) -> np.ndarray:
    """Log-mel [128, frames] to log-likelihoods [frames / 2, phones], the head's lag removed."""
    heard = model.phone_head(lagging_frames(model, mel))
    return torch.log_softmax(heard, -1).numpy()


def fit(likelihoods: np.ndarray, spoken: Utterance) -> tuple[Alignment, float]:
    """The best alignment of the utterance's phones, and its mean log-likelihood per frame."""
    states = phone_states(spoken)
    ids = np.array([PHONE_IDS[phone] for phone, _ in states])
    words = np.array([word for _, word in states])
    path, score = viterbi(np.maximum(likelihoods[:, ids], FLOOR), optional=words == BETWEEN)
    phones = []
    end = 0
    for state, frames in groupby(path):
        end += len(list(frames))
        phones.append((PHONES[ids[state]], end * FRAME))
    timed = []
    for number, (word, _, _) in enumerate(spoken.words):
        frames = np.flatnonzero(words[path] == number)
        timed.append((word, float(frames[0] * FRAME), float((frames[-1] + 1) * FRAME)))
    return Alignment(timed, phones, timed[0][1], timed[-1][2]), score


def phone_states(spoken: Utterance) -> list[tuple[str, int]]:
    """(phone, word number) from left to right, with a silence before and after every word."""
    middles = []
    start = 0.0
    for phone, end in spoken.phones:
        middles.append((phone, (start + end) / 2))
        start = end
    states = [("pau", BETWEEN)]
    for number, (_, begin, end) in enumerate(spoken.words):
        inside = [phone for phone, at in middles if phone != "pau" and begin <= at <= end]
        states += [(phone, number) for phone in inside] + [("pau", BETWEEN)]
    return states


def viterbi(likelihoods: np.ndarray, optional: np.ndarray) -> tuple[np.ndarray, float]:
    """The best path through left-to-right states, and its mean log-likelihood.

    likelihoods [frames, states]; a state that is `optional` may be jumped over. Returns the state
    of each frame, int [frames].
    """
    frames, states = likelihoods.shape
    never = -1e9
    jump = np.concatenate([[False, False], optional[1:-1]])  # may state s be entered from s - 2?
    score = np.full(states, never)
    score[:2] = likelihoods[0, :2]
    steps = np.zeros((frames, states), int)  # how many states back the best predecessor is
    for frame in range(1, frames):
        entered = np.stack(
            [
                score,
                np.concatenate([[never], score[:-1]]),
                np.where(jump, np.concatenate([[never, never], score[:-2]]), never),
            ]
        )
        steps[frame] = entered.argmax(0)
        score = entered.max(0) + likelihoods[frame]
    state = states - 1 if score[-1] >= score[-2] else states - 2  # the last silence is optional
    best = float(score[state]) / frames
    path = np.zeros(frames, int)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    return path, best

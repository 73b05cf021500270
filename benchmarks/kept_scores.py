"""How exact KL from kept scores is, beside that from all logits: a part of `validation.py`."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from runs import ROOT, tell

from voxbuild.evaluate.scores import MOST, REST, ROWS, Scores
from voxbuild.recipes.book import read_book
from voxbuild.sources.clips import read_clips
from voxrun.audio.file import FileSource
from voxrun.bench.tables import markdown
from voxrun.mlx_thread import computed
from voxrun.stream.scoring import Scorer
from voxrun.transcriber import Transcriber

SETS = "prompts", "digits", "chains"
POSITIONS = 45_000
"""In an hour of audio."""
UPSTREAM = 131_072
"""Tokens in the upstream's vocabulary."""
NEAR, FAR = 0.02, 0.3
"""How far logits of another model are off, as standard deviations."""
HEADER = [
    *("source", "tokens kept", "mass of the rest", "MB an hour", "model"),
    *("exact KL mean", "missing", "p99 missing", "most at a position"),
]
ABOUT = """\
At each position the likeliest tokens are kept (log-probabilities in float32, ids), until all others
together have a mass of at most {rest:g}, but no more than {most:,} tokens; and the log of the others'
mass. KL from them takes all others as one token, so it is a lower bound. What is missing is at most the
others' mass times the range of log(p / q) among them. *missing*: as a share of the mean, and of the
99th percentile; *most at a position* in nats. A negative share is the rounding of float32.

{table}

*tiny*: the source's logits over all its clips, against those of artifacts. *random, 3*: {positions}
positions of normally distributed logits with a standard deviation of 3 over the upstream's {upstream:,}
tokens: the worst case, for a trained model's are less flat. *+ 5*: the likeliest token leads by so much
more. Their other models' logits differ by normal noise.
"""


def exactness(folder: Path, recipes: list[str]) -> str:
    """KL from kept scores beside the exact one, over tiny and over random logits."""
    tell("exactness over tiny")
    source, given = logits(ROOT / "tiny/checkpoint", folder), {}
    for recipe in recipes:
        given[recipe] = logits(folder / "out/tiny" / recipe, folder)
    rows = list(compared("tiny", source, given))
    random = np.random.default_rng(2602)
    for sharpness, lead in ((3, 0), (5, 0), (5, 5)):
        tell(f"exactness over random logits of {sharpness}")
        p = (sharpness * random.normal(size=(128, UPSTREAM))).astype(np.float32)
        p[np.arange(len(p)), p.argmax(axis=1)] += lead
        noisy = {f"± {n:g}": p + random.normal(0, n, p.shape).astype(np.float32) for n in (NEAR, FAR)}
        rows += compared(f"random, {sharpness}{f' + {lead}' if lead else ''}", p, noisy)
    about = {"most": MOST, "rest": REST, "upstream": UPSTREAM, "positions": len(p)}
    return ABOUT.format(table=markdown(HEADER, rows), **about)


def logits(model: Path, folder: Path) -> np.ndarray:
    """Of all positions of tiny's clips, given the source's tokens [positions, vocabulary]."""
    transcriber = Transcriber.open(model)
    scorer, book = Scorer(transcriber.model, transcriber.tokenizer), read_book(ROOT / "recipes")
    blocks = []
    for name in SETS:
        known = json.loads((folder / f"out/.state/tiny/{name}.reference.json").read_text())
        for clip in read_clips(book.clips[name], ROOT / "recipes/clips"):
            samples = np.concatenate(list(FileSource(clip.path, transcriber.rate)))
            blocks += computed(_blocks, scorer, samples, known[clip.name]["tokens"])
    return np.concatenate(blocks)


def _blocks(scorer: Scorer, samples: np.ndarray, tokens: list[int]) -> list[np.ndarray]:
    return list(scorer.hear(samples).logits(tokens))


def compared(name: str, p: np.ndarray, others: dict[str, np.ndarray]) -> Iterator[list[str]]:
    """A row for each model whose logits are compared with p."""
    kept = Scores.of([p])
    size = (kept.ids.nbytes + kept.logs.nbytes + kept.counts.nbytes + kept.rest.nbytes) / len(p)
    about = [
        name,
        f"{kept.counts.mean():.0f}, at most {kept.counts.max()}",
        f"{np.exp(kept.rest).mean():.1e}, at most {np.exp(kept.rest).max():.1e}",
        f"{size * POSITIONS / 1e6:.0f}",
    ]
    for model, q in others.items():
        exact, found = kl(p, q), kept.compared([q])[0]
        missing, far = exact.mean() - found.mean(), np.percentile(exact, 99)
        yield [
            *about,
            model,
            f"{exact.mean():.2e}",
            f"{missing / exact.mean():.1e}",
            f"{(far - np.percentile(found, 99)) / far:.1e}",
            f"{(exact - found).max():.1e}",
        ]


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The exact one of logits [n, vocabulary], in float64."""
    found = []
    for first in range(0, len(p), ROWS):
        log_p, log_q = (_log_softmax(x[first : first + ROWS]) for x in (p, q))
        found.append((np.exp(log_p) * (log_p - log_q)).sum(axis=1))
    return np.concatenate(found)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

"""The source's scores at each position: the likeliest tokens, and how much is left for all others.

KL from them is a lower bound of the exact one. What is missing is at most the rest's mass times how much the
ratio of both distributions varies within it: see docs/benchmarks/validation.md for what that comes to.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.errors import ValidationError
from voxbuild.files import written_whole
from voxrun.arrays import Array, FloatArray

MOST = 8192
"""Tokens that are kept at a position, at most; a trained model comes below REST with far fewer."""
REST = 1e-6
"""Mass that may be left: no more tokens are kept than it takes to come below."""
ROWS = 16
"""Positions that are computed together: temporary arrays are a few MB for any vocabulary."""
SILENT = np.errstate(all="ignore")
"""Logits that are not finite are told as such, without NumPy's warnings before."""


@dataclass(frozen=True)
class Scores:
    """The likeliest tokens at each position, best first."""

    counts: Array
    """How many are kept [positions], uint16."""
    ids: Array
    """Those of all positions, one behind the other [sum of counts], uint32."""
    logs: FloatArray
    """The log-probability of each, in nats [sum of counts]."""
    rest: FloatArray
    """The log of the mass of all other tokens [positions]; -inf: there is none."""

    @classmethod
    def of(cls, logits: Iterable[Any]) -> "Scores":
        """Of logits in blocks [n, vocabulary]. Raises ValueError if they are not all finite."""
        parts = [astuple(_kept(rows)) for rows in _in_rows(logits)]
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    @classmethod
    def load(cls, path: Path, digest: str) -> "Scores":
        """Read the file of `save`, whose sha256 is known. Raises ValidationError if it is another."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ValidationError(f"{path}: the source's scores cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValidationError(f"{path}: the source's scores are damaged; delete the file and build again")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(**arrays)

    def save(self, path: Path) -> str:
        """Write a file, which appears whole; return its sha256."""
        content = io.BytesIO()
        np.savez(content, **vars(self))
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            partial.write_bytes(content.getbuffer())
        return hashlib.sha256(content.getbuffer()).hexdigest()

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows: slice) -> "Scores":
        """Some positions."""
        ends = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        own = slice(ends[rows.start], ends[min(rows.stop, len(self))])
        return Scores(self.counts[rows], self.ids[own], self.logs[own], self.rest[rows])

    def compared(self, logits: Iterable[Any]) -> tuple[FloatArray, Array]:
        """KL(these || logits) at each position in nats, and whether both have the same likeliest token.

        `logits` are another model's at the same positions, in blocks [n, vocabulary]. KL is NaN where they
        are not all finite.
        """
        kl, same, first = list[FloatArray](), list[Array](), 0
        for rows in _in_rows(logits):
            own, first = self[first : first + len(rows)], first + len(rows)
            if first > len(self):
                break
            divergence, agreement = _compared(own, rows)
            kl.append(divergence)
            same.append(agreement)
        if first != len(self):
            raise ValueError(f"scores of {len(self)} positions cannot be compared with those of others")
        return np.concatenate(kl), np.concatenate(same)


def _in_rows(logits: Iterable[Any]) -> Iterator[FloatArray]:
    for block in logits:
        for first in range(0, len(block), ROWS):
            yield np.array(block[first : first + ROWS], np.float32)


@SILENT
def _kept(logits: FloatArray) -> Scores:
    if not np.isfinite(logits).all():
        raise ValueError("logits that are not finite have no scores")
    n, vocabulary = logits.shape
    most = min(MOST, vocabulary)
    found = np.sort(np.argpartition(-logits, most - 1, axis=1)[:, :most], axis=1)
    order = np.argsort(-np.take_along_axis(logits, found, 1), axis=1, kind="stable")
    ids = np.take_along_axis(found, order, 1)
    logs = np.take_along_axis(logits, ids, 1) - _log_sum(logits)[:, None]
    counts = _needed(logs, _rest(logits, np.arange(n).repeat(most), ids.ravel()))
    rows, kept = np.arange(n).repeat(counts), np.arange(most) < counts[:, None]
    rest = _rest(logits, rows, ids[kept])
    return Scores(counts.astype(np.uint16), ids[kept].astype(np.uint32), logs[kept].astype(np.float32), rest)


def _needed(logs: Array, beyond: FloatArray) -> Array:
    """How many tokens leave at most REST; `beyond` is the log of the mass after all of these."""
    mass = np.exp(logs)
    left = np.exp(beyond.astype(np.float64))[:, None] + np.cumsum(mass[:, ::-1], axis=1)[:, ::-1] - mass
    few: Array = np.argmax(left <= REST, axis=1) + 1
    return np.where((left <= REST).any(axis=1), few, logs.shape[1])


@SILENT
def _compared(scores: Scores, logits: FloatArray) -> tuple[FloatArray, Array]:
    rows = np.arange(len(scores)).repeat(scores.counts)
    theirs = scores.logs.astype(np.float64)
    ours = logits[rows, scores.ids] - _log_sum(logits)[rows]
    kl = np.bincount(rows, np.exp(theirs) * (theirs - ours), minlength=len(scores))
    rest, left = scores.rest.astype(np.float64), _rest(logits, rows, scores.ids)
    kl += np.where(np.isneginf(rest), 0.0, np.exp(rest) * (rest - left))
    kl[~np.isfinite(logits).all(axis=1)] = np.nan
    best = scores.ids[np.cumsum(scores.counts, dtype=np.int64) - scores.counts]
    return np.maximum(kl, 0).astype(np.float32), logits.argmax(axis=1) == best


def _log_sum(logits: FloatArray) -> Array:
    """The log of the sum of exponentials [n], float64."""
    top = logits.max(axis=1).astype(np.float64)
    total = np.exp(logits - top[:, None].astype(np.float32)).sum(axis=1, dtype=np.float64)
    return np.where(np.isneginf(top), -np.inf, top + np.log(total))


def _rest(logits: FloatArray, rows: Array, ids: Array) -> FloatArray:
    """The log of the mass of all tokens but these, which are row by row [n]."""
    others = logits.copy()
    others[rows, ids] = -np.inf
    return (_log_sum(others) - _log_sum(logits)).astype(np.float32)

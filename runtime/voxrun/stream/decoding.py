"""One pass of the decoder for several generators: which may share it, and what each takes from it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime

from .generator import MOST_ROWS, Generator, Picked, Step
from .sampling import best_of

PASS_ROWS = 64
"""Rows in a pass in which guesses of several streams are made, at most."""
PROMPT_ROWS = 256
"""Rows of prompts in a pass, at most, unless a single one is longer."""

Owner = TypeVar("Owner")


def passes(ready: Sequence[tuple[Owner, Generator]]) -> Iterator[list[tuple[Owner, Generator]]]:
    """Who is decoded together: all, but for those that must be alone and for prompts beyond PROMPT_ROWS."""
    together, prompts = list[tuple[Owner, Generator]](), 0
    for owner, generator in ready:
        if generator.alone:
            yield [(owner, generator)]
            continue
        rows = generator.n_inputs
        if rows == 1 or not prompts or prompts + rows <= PROMPT_ROWS:
            prompts += rows if rows > 1 else 0
            together.append((owner, generator))
    if together:
        yield together


def one_pass(model: VoxtralRealtime, generators: Sequence[Generator]) -> list[Callable[[], list[Picked]]]:
    """Decode the next step of each; the functions returned make each generator take its tokens."""
    most_rows = MOST_ROWS if len(generators) == 1 else max(1, PASS_ROWS // len(generators))
    steps = [generator.step(most_rows) for generator in generators]
    hidden = model.decode_all([step.rows for step in steps])
    logits = model.language_model.logits(_wanted(hidden, steps))[0]
    ends = np.cumsum([step.picks for step in steps]).tolist()
    parts = [logits[first:last] for first, last in pairwise([0, *ends])]
    scores = [generator.scores(part) for generator, part in zip(generators, parts, strict=True)]
    best = best_of(scores, [generator.scale for generator in generators], model.dtype)
    by_itself = hidden.shape[1] == 1
    return [
        partial(generator.take, step, part, each.ids, [True] if by_itself else each.sure)
        for generator, step, part, each in zip(generators, steps, parts, best, strict=True)
    ]


def _wanted(hidden: Any, steps: Sequence[Step]) -> Any:
    """The rows [1, n, dim] that tokens are picked from."""
    if len(steps) == 1:
        return hidden[:, -steps[0].picks :]
    counts = [len(step.rows.tokens) for step in steps]
    if counts == [step.picks for step in steps]:
        return hidden
    ends = np.cumsum(counts)
    rows = np.concatenate([np.arange(e - s.picks, e) for e, s in zip(ends, steps, strict=True)])
    return hidden[:, rows if isinstance(hidden, np.ndarray) else mx.array(rows)]

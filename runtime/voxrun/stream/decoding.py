"""One pass of the decoder for several generators: which may share it, and what each takes from it.

A pass is submitted first, and its tokens are read later. In between MLX computes, and Python goes on: the
scheduler submits the encoder's next blocks, and `submit_next` the next step of a stream that makes no
guesses, whose input is the token that has not been read. That step waits in `Generator.ahead` for its turn.
With our own kernels a pass is computed when it is submitted, and nothing is submitted ahead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime

from .generator import Generator, Picked, Step, Submitted
from .sampling import read, two_best
from .tuning import tuning

Owner = TypeVar("Owner")


def passes(ready: Sequence[tuple[Owner, Generator]]) -> Iterator[list[tuple[Owner, Generator]]]:
    """Who is decoded together: all, but for those that must be alone, and for prompts beyond `prompt_rows`.

    Who has a step ahead is alone: it has been submitted so.
    """
    together, prompts, most = list[tuple[Owner, Generator]](), 0, tuning().prompt_rows
    for owner, generator in ready:
        if generator.alone or generator.ahead:
            yield [(owner, generator)]
            continue
        rows = generator.n_inputs
        if rows == 1 or not prompts or prompts + rows <= most:
            prompts += rows if rows > 1 else 0
            together.append((owner, generator))
    if together:
        yield together


@dataclass(frozen=True)
class Pass:
    """A pass that was submitted, and is not read."""

    model: VoxtralRealtime
    generators: Sequence[Generator]
    submitted: Sequence[Submitted]
    """The step of each."""
    by_itself: bool
    """Whether it is a single row: no other row can have changed its token."""

    def read(self) -> list[Callable[[], list[Picked]]]:
        """Wait for the tokens; the functions returned make each generator take its own."""
        scales = [generator.scale for generator in self.generators]
        best = read([each.best for each in self.submitted], scales, self.model.dtype)
        if self.by_itself:
            best = [replace(best[0], sure=[True])]
        return [
            partial(generator.take, each.step, found)
            for generator, each, found in zip(self.generators, self.submitted, best, strict=True)
        ]


def one_pass(model: VoxtralRealtime, generators: Sequence[Generator]) -> list[Callable[[], list[Picked]]]:
    """Decode the next step of each; the functions returned make each generator take its tokens."""
    return submit(model, generators).read()


def submit(model: VoxtralRealtime, generators: Sequence[Generator]) -> Pass:
    """Submit the next step of each; a single one's may have been submitted before, by `submit_next`."""
    ahead = generators[0].ahead
    if ahead is not None:
        generators[0].ahead = None
        return Pass(model, generators, [ahead], by_itself=True)
    rows = max(1, tuning().pass_rows // len(generators)) if len(generators) > 1 else tuning().look_ahead[-1]
    return _submit(model, generators, [generator.step(rows) for generator in generators])


def submit_next(now: Pass) -> None:
    """Submit the next step of a stream alone, before its token of this pass is read, if it will be wanted."""
    if not now.by_itself or isinstance(now.submitted[0].best.ids, np.ndarray):
        return
    (generator,), (before,) = now.generators, now.submitted
    step = generator.step_after(before.best.ids)
    if step is not None:
        (generator.ahead,) = _submit(now.model, now.generators, [step]).submitted


def _submit(model: VoxtralRealtime, generators: Sequence[Generator], steps: Sequence[Step]) -> Pass:
    hidden = model.decode_all([step.rows for step in steps])
    logits = model.language_model.logits(_wanted(hidden, steps))[0]
    ends = np.cumsum([step.picks for step in steps]).tolist()
    parts = [logits[first:last] for first, last in pairwise([0, *ends])]
    scores = [each.scores(step, part) for each, step, part in zip(generators, steps, parts, strict=True)]
    keeps = [generator.keeps_logits for generator in generators]
    best = [two_best(*each) for each in zip(scores, parts, keeps, strict=True)]
    if not isinstance(logits, np.ndarray):
        mx.async_eval([vars(each) for each in best])  # type: ignore[no-untyped-call]
    submitted = [Submitted(step, each) for step, each in zip(steps, best, strict=True)]
    return Pass(model, generators, submitted, by_itself=hidden.shape[1] == 1)


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

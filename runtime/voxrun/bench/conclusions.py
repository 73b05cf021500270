"""What follows from the measurements: shares of the limit, the cheapest tuning, the expected speed."""

from dataclasses import dataclass

from voxrun.stream.tuning import Tuning

from .limits import block_limit, step_limit
from .proposal import PAD, Replay, least, proposed, replay
from .results import Results
from .speech import SOURCE, SPEECH

ENOUGH = 100
"""Tokens that show how speech goes."""


@dataclass(frozen=True)
class Conclusions:
    """All that is computed from results."""

    step_limit: float
    """Seconds in which memory gives the weights of a decoder pass."""
    block_limit: float
    """The same of an encoder pass."""
    share: float
    """Of the limit that a pass of one row reaches: 1 is the limit."""
    now: Tuning
    proposed: Tuning
    tokens_of: str
    """Where the kinds of tokens are from."""
    with_now: Replay
    with_proposed: Replay
    factor_now: float
    """Seconds that a second of speech takes, with as many passes as the tokens need."""
    factor_proposed: float

    @property
    def differs(self) -> bool:
        """Whether another tuning is proposed."""
        return self.proposed != self.now


def conclude(results: Results, now: Tuning) -> Conclusions:
    """`now`: the tuning that was used."""
    kinds, tokens_of = speech_of(results)
    best, steps = proposed(results, kinds, now), least(results.steps)
    limit = step_limit(results)
    with_now = replay(kinds, _measured(now.look_ahead, steps), steps)
    with_best = replay(kinds, _measured(best.look_ahead, steps), steps)
    return Conclusions(
        step_limit=limit,
        block_limit=block_limit(results),
        share=limit / results.steps[1].median,
        now=now,
        proposed=best,
        tokens_of=tokens_of,
        with_now=with_now,
        with_proposed=with_best,
        factor_now=_factor(results, now.files_positions, with_now),
        factor_proposed=_factor(results, best.files_positions, with_best),
    )


def speech_of(results: Results) -> tuple[str, str]:
    """Kinds of tokens that speech has, and where they are from: what was heard, if it was speech."""
    kinds = results.heard.kinds
    is_speech = results.heard.is_speech and len(kinds) >= ENOUGH and PAD in kinds.strip(PAD)
    return (kinds, f"{len(kinds)} tokens of the recording") if is_speech else (SPEECH, SOURCE)


def _measured(look_ahead: tuple[int, ...], seconds: dict[int, float]) -> tuple[int, ...]:
    """The look-ahead, with the next smaller number of rows for one that was not measured."""
    return tuple(max(n for n in seconds if n <= rows) for rows in look_ahead)


def _factor(results: Results, positions: int, decoder: Replay) -> float:
    """Encoder and decoder for a second of audio, in encoder passes of so many positions."""
    size = max((n for n in results.blocks if n <= positions), default=min(results.blocks))
    return (results.blocks[size].least / size + decoder.cost) / results.position

"""The content of validation.json: error rates, fidelity, gates, and what was heard in each clip."""

from collections.abc import Mapping, Sequence
from typing import Any

from voxbuild.evaluate.figures import RATE, Scored, pooled, scored
from voxbuild.evaluate.jobs import Result
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.statistics.normalise import Normaliser

from .gates import check

Heard = Mapping[str, Result]
"""Clip name -> what was heard."""


def report(
    clips: Mapping[str, Sequence[Clip]],
    normalisers: Mapping[str, Normaliser],
    heard: Heard,
    reference: Heard,
    gates: Gates,
) -> dict[str, Any]:
    """The content of validation.json without the artifact's hashes.

    `clips` and `normalisers` are by clip set; `heard` is the artifact's, `reference` the source's.
    A figure is `{"value", "low", "high"}` with its 95 % interval, and null if it is not finite.

    passed        whether all gates were
    gates         see `gates.check`
    total         the figures over all clips: `Figures.as_json`
    unquantized   the source's error rates over all clips; `stages.validate` adds `heard_elsewhere: true` if
                  it heard them with other versions or on another device
    sets          the figures of each clip set, and its `normaliser`
    fidelity      how near the artifact is to the source over all clips
    clips         of each clip what was said and heard, and its error rates in per cent
    """
    by_set = {
        name: scored(members, [heard[c.name] for c in members], [reference[c.name] for c in members], how)
        for (name, members), how in zip(clips.items(), (normalisers[name] for name in clips), strict=True)
    }
    over_all = pooled([clip for members in by_set.values() for clip in members])
    sets = {name: pooled(members) for name, members in by_set.items()}
    results = check(gates, over_all, sets)
    total = over_all.as_json()
    return {
        "passed": all(gate["passed"] for gate in results),
        "gates": results,
        "fidelity": total.pop("fidelity"),
        "total": total,
        "unquantized": {
            **{key: total[key] for key in ("clips", "words")},
            **{rate: total[f"unquantized_{rate}"] for rate in ("wer", "cer")},
        },
        "sets": {
            name: each.as_json() | {"normaliser": normalisers[name].name} for name, each in sets.items()
        },
        "clips": {
            clip.name: _line(clip, heard[clip.name], reference[clip.name], result)
            for name, members in clips.items()
            for clip, result in zip(members, by_set[name], strict=True)
        },
    }


def _line(clip: Clip, heard: Result, reference: Result, result: Scored) -> dict[str, Any]:
    return {
        "reference": clip.text,
        "heard": heard.text,
        "unquantized": reference.text,
        "wer": round(result.ours.wer, RATE),
        "cer": round(result.ours.cer, RATE),
    }

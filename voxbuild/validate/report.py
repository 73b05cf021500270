"""The content of validation.json: error rates, fidelity, gates, and what was heard in each clip."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxbuild.evaluate.jobs import Result
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip

from .error_rates import error_rates
from .gates import check, finite


def report(
    clips: dict[str, list[Clip]],
    heard: Mapping[str, Result],
    reference: Mapping[str, Result],
    measured_fidelity: dict[str, float],
    gates: Gates,
) -> dict[str, Any]:
    """The content of validation.json without the artifact's hashes; what is not finite is None."""
    everything = [clip for members in clips.values() for clip in members]
    sets = {
        name: _rates(members, heard) | {"unquantized_wer": _rates(members, reference)["wer"]}
        for name, members in clips.items()
    }
    figures = {
        "wer": max(rates["wer"] for rates in sets.values()),
        "wer_increase": round(max(r["wer"] - r["unquantized_wer"] for r in sets.values()), 2),
        **measured_fidelity,
    }
    results = check(gates, figures)
    return {
        "passed": all(gate["passed"] for gate in results),
        "gates": results,
        "total": _rates(everything, heard),
        "unquantized": _rates(everything, reference),
        "sets": sets,
        "fidelity": {name: finite(value) for name, value in measured_fidelity.items()},
        "clips": {clip.name: _line(clip, heard[clip.name]) for clip in everything},
    }


@np.errstate(all="ignore")
def over_all(near: Sequence[Result]) -> dict[str, float]:
    """The figures of `fidelity` over all positions of these clips."""
    kl = np.concatenate([clip.kl for clip in near])
    return {
        "positions": len(kl),
        "top1_agreement": round(float(np.concatenate([clip.same for clip in near]).mean()), 5),
        "kl_mean": round(float(kl.mean()), 6),
        "kl_p99": round(float(np.percentile(kl, 99)), 6),
    }


def _rates(clips: Sequence[Clip], heard: Mapping[str, Result]) -> dict[str, Any]:
    rates = error_rates([c.text for c in clips], [heard[c.name].text for c in clips])
    return {"clips": len(clips), **asdict(rates)}


def _line(clip: Clip, heard: Result) -> dict[str, Any]:
    rates = error_rates([clip.text], [heard.text])
    return {"reference": clip.text, "heard": heard.text, "wer": rates.wer, "cer": rates.cer}

"""The gates of a validation: whether the clips prove that an artifact keeps the limits of recipe and source.

A limit is kept if the whole 95 % interval of the figure is within it. What is not proven to be kept fails,
for one of two reasons: the clips show that it is broken, or they are too few to tell.
"""

from collections.abc import Mapping
from typing import Any

from voxbuild.card.tables import wer_table
from voxbuild.console import markdown
from voxbuild.evaluate.figures import FIDELITY, RATE, Figures
from voxbuild.recipes.gates import FLOORS, WORST_WER, Gates
from voxbuild.statistics.estimate import LEVEL, UNKNOWN, Estimate

NAMES = {
    "wer": ("the WER is", " %"),
    "wer_increase": ("the WER rises by", " points"),
    "top1_agreement": ("the share of positions with the same likeliest token is", ""),
    "kl_mean": ("the mean KL divergence is", " nats"),
    "kl_p99": ("the 99th percentile of the KL divergence is", " nats"),
}
"""What a gate limits, and its unit."""
BY_SET = ("wer", "wer_increase")
"""The gates that no clip set alone may break either."""


def check(gates: Gates, over_all: Figures, sets: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """Each gate with its name, `limit`, `measured` (over all clips), `passed`, and `why` it failed, or null.

    The limit of the WER that holds without any (WORST_WER) is for the WER as measured, in each clip set: it
    tells whether a model hears the clips at all. A figure that is not finite (null) fails its gate, even if
    there is no limit for it (null).
    """
    results = []
    for name, limit in gates.model_dump().items():
        measured = figure(over_all, name)
        of_sets = {key: figure(each, name) for key, each in sets.items()} if name in BY_SET else {}
        if limit is None and measured.is_finite:
            continue
        why = _why(name, limit, measured, of_sets, over_all)
        shown = measured.as_json(_digits(name))
        results.append({"name": name, "limit": limit, "measured": shown, "passed": not why, "why": why})
    return results


def figure(figures: Figures, name: str) -> Estimate:
    """The figure that a gate limits."""
    found = getattr(figures if name in BY_SET else figures.fidelity, name, UNKNOWN)
    return found if isinstance(found, Estimate) else UNKNOWN


def _why(
    name: str, limit: float | None, measured: Estimate, of_sets: Mapping[str, Estimate], over_all: Figures
) -> str | None:
    """Why a gate fails; None if it is kept."""
    if limit is None or not measured.is_finite:
        return "not finite"
    if name == "wer" and (deaf := [key for key, each in of_sets.items() if each.value > WORST_WER]):
        return f"the model does not hear {', '.join(deaf)}: the WER is above {WORST_WER:g} %"
    if name == "wer" and limit == WORST_WER:
        return None
    found, most = _as_maximum(name, measured, limit)
    for where, each in {"": found, **{f" in {key}": each for key, each in of_sets.items()}}.items():
        if each.low > most:
            return f"a true loss{where}: {_said(name, measured if not where else each, limit)}"
    if found.high <= most:
        return None
    if found.value >= most:
        return f"a loss, or chance: {_said(name, measured, limit)}"
    # The distance of a bound shrinks as the square root of the number of words.
    enough = over_all.errors.words * ((found.high - found.value) / (most - found.value)) ** 2
    return _too_few(name, limit, over_all, float(f"{enough:.2g}"))


def _digits(name: str) -> int:
    return RATE if name in BY_SET else FIDELITY


def _as_maximum(name: str, measured: Estimate, limit: float) -> tuple[Estimate, float]:
    """A figure and its limit, which is a maximum: with the sign turned, if it is a minimum."""
    return (-measured, -limit) if name in FLOORS else (measured, limit)


def _said(name: str, found: Estimate, limit: float) -> str:
    what, unit = NAMES[name]
    measured = found.in_words(_digits(name))
    return f"{what} {measured}{unit}, the limit is {limit:g}"


def _too_few(name: str, limit: float, over_all: Figures, enough: float) -> str:
    what, unit = NAMES[name]
    bound = f"{'at least' if name in FLOORS else 'at most'} {limit:g}{unit}"
    clips = f"the {over_all.clips:,} clips with {over_all.errors.words:,} words"
    return f"{clips} are too few to say that {what} {bound}: about {enough:,.0f} words would do"


def gates_table(validation: Mapping[str, Any]) -> str:
    """The error rates of each clip set, the result of each gate, and why some failed, in Markdown."""
    rows, reasons = [], []
    for gate in validation["gates"]:
        measured = Estimate.of(gate["measured"])
        rows.append(
            (
                gate["name"],
                "a number" if gate["limit"] is None else f"{gate['limit']:g}",
                measured.in_words(_digits(gate["name"])),
                "pass" if gate["passed"] else "FAIL",
            )
        )
        reasons += [] if gate["passed"] else [f"{gate['name']}: {gate['why']}"]
    table = markdown(rows, ["gate", "limit", f"measured ({LEVEL} % interval)", ""])
    return "\n\n".join([wer_table(validation), table, *reasons])

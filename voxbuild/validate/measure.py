"""Measure an artifact: its transcripts against the true ones, its logits against the unquantized source's."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.calibrate.recordings import transcripts
from voxbuild.card.tables import wer_table
from voxbuild.console import markdown
from voxbuild.errors import ValidationError
from voxbuild.recipes.gates import FLOORS, WORST_WER, Gates
from voxbuild.recipes.origins.base import Clip
from voxrun.audio.file import FileSource
from voxrun.device import mx
from voxrun.parallel import one_blas_thread
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.transcriber import Transcriber

from .error_rates import error_rates


def gates_table(validation: dict[str, Any]) -> str:
    """The error rates of each clip set, and the result of each gate, as Markdown tables."""
    gates = [
        (
            gate["name"],
            "a number" if gate["limit"] is None else gate["limit"],
            "not finite" if gate["measured"] is None else gate["measured"],
            "pass" if gate["passed"] else "FAIL",
        )
        for gate in validation["gates"]
    ]
    return f"{wer_table(validation)}\n\n{markdown(gates, ['gate', 'limit', 'measured', ''])}"


ClipDone = Callable[[], None]
Positions = np.typing.NDArray[Any]
SILENT = np.errstate(all="ignore")
"""Logits that are not finite are reported as such, without NumPy's warnings before."""


@dataclass(frozen=True)
class Heard:
    """A model's transcript of a clip."""

    text: str
    tokens: list[int]


def listen(model: Path, clips: Sequence[Clip], done: ClipDone) -> dict[str, Heard]:
    """Transcribe clips with the model in a folder, several at once: clip name -> transcript, in their order.

    `done` is called in this thread. Raises AudioError for the first clip that cannot be read.
    """
    heard = transcripts(model, [clip.path for clip in clips], lambda _: done())
    return {
        clip.name: Heard(there.text.strip(), there.tokens) for clip, there in zip(clips, heard, strict=True)
    }


@SILENT
def check_reference(
    source: str, clip_set: str, model: Path, clips: Sequence[Clip], heard: dict[str, Heard]
) -> None:
    """Raises ValidationError if the unquantized source, in folder `model`, does not hear the clips.

    Then no artifact of it can be judged, and the artifact is not to blame.
    """
    wer = error_rates([clip.text for clip in clips], [heard[clip.name].text for clip in clips]).wer
    if wer <= WORST_WER:
        return
    transcriber, clip = Transcriber.open(model), clips[0]
    samples, tokens = np.concatenate(list(FileSource(clip.path, transcriber.rate))), heard[clip.name].tokens
    for logits in teacher_forced_logits(transcriber.model, transcriber.tokenizer, samples, tokens):
        _refuse_not_finite(source, logits)
    raise ValidationError(
        f"the unquantized source {source} has a WER of {wer:.0f} % on {clip_set}; {WORST_WER:g} % is the"
        " limit: the clips (another language? wrong transcripts?) or the source are wrong"
    )


def _refuse_not_finite(source: str, logits: mx.array) -> None:
    if not mx.isfinite(logits).all():
        raise ValidationError(
            f"the unquantized source {source} is not usable: its weights give no finite result (NaN or"
            " infinite logits); repair or replace them"
        )


@dataclass(frozen=True)
class Nearness:
    """How close an artifact's next-token distributions are to the unquantized source's, in one clip."""

    kl: Positions
    """KL(source || artifact) at each position, in nats [positions]."""
    same: Positions
    """Whether both have the same likeliest token [positions]."""


def nearness(
    source: str,
    artifact: Path,
    reference: Path,
    clips: Sequence[Clip],
    heard: dict[str, Heard],
    done: ClipDone,
) -> list[Nearness]:
    """Compare an artifact with the unquantized `source` in folder `reference`, clip by clip.

    Both are given the source's transcripts (`heard`), so all positions have the same history. KL is NaN where
    the artifact's logits are not finite. Raises ValidationError if the source's are not.
    """
    near = []
    for p, q in zip(scores(reference, clips, heard), scores(artifact, clips, heard), strict=True):
        near.append(compared(source, p, q))
        done()
    return near


def scores(model: Path, clips: Sequence[Clip], heard: dict[str, Heard]) -> Iterator[Iterator[mx.array]]:
    """The logits of the model in a folder, given transcripts: for each clip, blocks [n, vocabulary]."""
    transcriber = Transcriber.open(model)
    for clip in clips:
        samples, tokens = (
            np.concatenate(list(FileSource(clip.path, transcriber.rate))),
            heard[clip.name].tokens,
        )
        yield teacher_forced_logits(transcriber.model, transcriber.tokenizer, samples, tokens)


@SILENT
def compared(source: str, theirs: Iterable[mx.array], ours: Iterable[mx.array]) -> Nearness:
    """Compare an artifact's logits for a clip with the unquantized source's, see `nearness`."""
    divergence, agreement = [], []
    with one_blas_thread():
        for p, q in zip(theirs, ours, strict=True):
            _refuse_not_finite(source, p)
            agreement.append(np.array(mx.argmax(p, axis=-1) == mx.argmax(q, axis=-1)))
            divergence.append(np.array(_kl(p, q)))
    return Nearness(np.concatenate(divergence), np.concatenate(agreement))


def fidelity(
    source: str,
    artifact: Path,
    reference: Path,
    clips: Sequence[Clip],
    heard: dict[str, Heard],
    done: ClipDone,
) -> dict[str, float]:
    """Share of positions with the same likeliest token, mean and 99th percentile of KL; see `nearness`."""
    return over_all(nearness(source, artifact, reference, clips, heard, done))


@SILENT
def over_all(near: Sequence[Nearness]) -> dict[str, float]:
    """The figures of `fidelity` over all positions of these clips."""
    kl = np.concatenate([clip.kl for clip in near])
    return {
        "positions": len(kl),
        "top1_agreement": round(float(np.concatenate([clip.same for clip in near]).mean()), 5),
        "kl_mean": round(float(kl.mean()), 6),
        "kl_p99": round(float(np.percentile(kl, 99)), 6),
    }


def _kl(p: mx.array, q: mx.array) -> mx.array:
    """KL(p || q) of logits [n, vocabulary] -> [n], in nats; rounding errors below 0 are cut off."""
    log_p = p - mx.logsumexp(p, axis=-1, keepdims=True)
    log_q = q - mx.logsumexp(q, axis=-1, keepdims=True)
    return mx.maximum((mx.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0)


def report(
    clips: dict[str, list[Clip]],
    heard: dict[str, Heard],
    reference: dict[str, Heard],
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
        "fidelity": {name: _finite(value) for name, value in measured_fidelity.items()},
        "clips": {clip.name: _line(clip, heard[clip.name]) for clip in everything},
    }


def check(gates: Gates, figures: dict[str, float]) -> list[dict[str, Any]]:
    """Name, limit, measured and passed of each gate.

    A figure that is not finite (None) fails its gate, even if there is no limit for it (None).
    """
    results = []
    for name, limit in gates.model_dump().items():
        value = _finite(figures[name])
        if limit is None and value is not None:
            continue
        passed = value is not None and (value >= limit if name in FLOORS else value <= limit)
        results.append({"name": name, "limit": limit, "measured": value, "passed": passed})
    return results


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rates(clips: Sequence[Clip], heard: dict[str, Heard]) -> dict[str, Any]:
    rates = error_rates([c.text for c in clips], [heard[c.name].text for c in clips])
    return {"clips": len(clips), **asdict(rates)}


def _line(clip: Clip, heard: Heard) -> dict[str, Any]:
    rates = error_rates([clip.text], [heard.text])
    return {"reference": clip.text, "heard": heard.text, "wer": rates.wer, "cer": rates.cer}

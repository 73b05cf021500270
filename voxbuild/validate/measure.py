"""Measure an artifact: its transcripts against the true ones, its logits against the unquantized source's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.calibrate.recordings import transcripts
from voxbuild.errors import ValidationError
from voxbuild.recipes.gates import WORST_WER
from voxbuild.recipes.origins.base import Clip
from voxrun.audio.file import FileSource
from voxrun.device import mx
from voxrun.parallel import one_blas_thread
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.transcriber import Transcriber

from .error_rates import error_rates
from .report import over_all

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


def _kl(p: mx.array, q: mx.array) -> mx.array:
    """KL(p || q) of logits [n, vocabulary] -> [n], in nats; rounding errors below 0 are cut off."""
    log_p = p - mx.logsumexp(p, axis=-1, keepdims=True)
    log_q = q - mx.logsumexp(q, axis=-1, keepdims=True)
    return mx.maximum((mx.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0)

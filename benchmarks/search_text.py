"""The document that `search.py` writes."""

from collections.abc import Mapping, Sequence

from search_figures import Judge, Measured, ratio
from search_project import MORE, OURS, Trial

from voxbuild.console import markdown
from voxbuild.statistics.estimate import Estimate

Results = Mapping[Trial, Measured | str]
"""What was measured of each variant, or why it was not."""
AIMS = {
    (4, "gptq", OURS, 4): 0.18,
    (3, "gptq", OURS, 3): 0.18,
    (3, "gptq", OURS, 4): 1.0,
    (2, "gptq", OURS, 2): 0.025,
    (2, "gptq", OURS, 3): 1.0,
    (4, "allocation", OURS, 4): 0.095,
    (3.5, "allocation", OURS, 4): 0.19,
    (3, "allocation", OURS, 3): 0.11,
    (3, "allocation, sequential", MORE, 3): 0.075,
    (2, "sequential", MORE, 2): 0.013,
}
"""Bits, method, audio and the bits of plain rounding -> the ratio to it that was aimed at."""
HEADER = [
    *("bits", "method", "audio", "MB", "KL mean", "KL p99", "KL mean, calibration", "top-1 %"),
    *("same text %", "WER % [95 %]", "seconds"),
]
RATIOS = ["bits", "method", "audio", "beside", "KL ratio [95 %]", "aim", ""]
SENSITIVITY = ["bits", "calibrated on", "KL mean", "to the first [95 %]", "weights"]
TEXT = """\
# Better bits at equal size

Plain rounding (`none`) takes a group's scale and bias from its range. `mse` takes those of least squared
error, `activation` weighs each column by its inputs over calibration clips, `gptq` pushes the error of each
column onto the columns behind it, by the second moments of its inputs (H). *sequential* measures H behind
matrices that are quantized already. *allocation* gives each matrix its own bits, at the size of so many bits
for all (3.5: between 3 and 4). All are affine in groups of {group}, in MLX's format. Made by
`python benchmarks/search.py`.

{table}

- Model: the embedded one; its unquantized weights have a WER of {wer}.
- *KL*, in nats, and *top-1* are against the unquantized model, over {positions:,} positions of {clips} clips
  that trained, calibrated and tuned nothing. *calibration*: KL over the {calibrating} clips of `calibration`,
  for what is calibrated with them.
- *same text*: share of the clips in which the variant hears what the unquantized model hears.
- *WER*: over {words} words. Its interval, like all here, is by the studentised bootstrap over {clips} clips.
  WER cannot tell most variants apart: compare them by KL.
- *audio*: `calibration` is the committed set, {ours:.0f} s; `more` is that with `calibration-5min`, {more}.
- *seconds*: of `doit convert`, with about 1.5 s of start-up, after what is measured once for several
  variants. Sequential variants measure while they convert.
{measured}
- {machine}.
- Allocations with `more` have the bits that were measured over `calibration`.{failed}

## Beside plain rounding

Ratios of KL means, with 95 % intervals of the paired bootstrap: both variants over the same draws of clips.
*beside*: the bits of the plain rounding. *aim*: what was aimed at before this was built, from prototypes over
tiny's first edition.

{ratios}

## On what it depends

`search: gptq`, calibrated on other recordings. If 1 is within the interval, they cannot be told apart.

{sensitivity}

- *other clips*: {others} recordings of `calibration-5min`, as long together. *noise*: white noise at -40 dB
  of full scale added to the audio.
- *weights*: the first digits of their sha256. Other recordings give other weights. The same ones give the
  same, also measured again in another process.

## How the settings were chosen

What could be tuned in the allocation was chosen by KL on `development`: {development} recordings of tiny's
training set that neither calibrate nor validate ([how they are made](../../tiny/README.md#make-it-again)).
Damping, sweeps and the weights of the head's positions were chosen on 60 recordings (3 minutes) drawn in the
same way; before that, some dampings were also tried on the validation clips, with the same outcome.
Only what a column is worth in `activation` is older: half of the clips of `prompts` chose it, with tiny's
first edition.
"""


def table(results: Results, judge: Judge) -> str:
    """All variants."""
    return markdown([_row(r, judge) for r in results.values() if isinstance(r, Measured)], HEADER)


def _row(it: Measured, judge: Judge) -> list[str]:
    near = it.fidelity
    return [
        *(f"{it.trial.bits:g}", it.trial.method, it.trial.audio or "", f"{it.nbytes / 1e6:.3f}"),
        *(f"{near.kl_mean.value:.5f}", f"{near.kl_p99.value:.4f}"),
        "" if it.calibration_kl is None else f"{it.calibration_kl:.5f}",
        *(f"{100 * near.top1_agreement.value:.2f}", f"{100 * it.texts.agreement(judge.texts):.0f}"),
        *(_within(it.texts.wer, 2), f"{it.seconds:.1f}"),
    ]


def ratios(results: Results) -> str:
    """Variants beside plain rounding."""
    there = {trial: it for trial, it in results.items() if isinstance(it, Measured)}
    plain = {trial.bits: it for trial, it in there.items() if trial.method == "none"}
    rows = []
    for trial, it in there.items():
        if trial.method != "none":
            own = (trial.bits, trial.method, trial.clips)
            beside = sorted({trial.bits, *(width for *key, width in AIMS if tuple(key) == own)})
            rows += [_ratio(it, plain[width], AIMS.get((*own, width))) for width in beside if width in plain]
    return markdown(rows, RATIOS)


def _ratio(it: Measured, plain: Measured, aim: float | None) -> list[str]:
    found = ratio(it, plain)
    return [
        *(f"{it.trial.bits:g}", it.trial.method, it.trial.audio or "", f"{plain.trial.bits:g} none"),
        _within(found, 3),
        *(("", "") if aim is None else (f"{aim:g}", "met" if found.value <= aim else "missed")),
    ]


def sensitivity(results: Sequence[tuple[str, Measured]]) -> str:
    """Variants of one width after the other; the first of each width is compared with."""
    rows, first = [], dict[float, Measured]()
    for name, it in results:
        base = first.setdefault(it.trial.bits, it)
        said = "1" if it is base else _within(ratio(it, base), 2)
        rows.append([f"{it.trial.bits:g}", name, f"{it.fidelity.kl_mean.value:.5f}", said, it.digest[:12]])
    return markdown(rows, SENSITIVITY)


def _within(found: Estimate, digits: int) -> str:
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"

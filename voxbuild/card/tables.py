"""The tables of a model card."""

from collections.abc import Iterable, Mapping
from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.quantization import Rule
from voxbuild.statistics.estimate import LEVEL, Estimate
from voxbuild.tensors.modes import PLAIN

from .siblings import Sibling
from .subject import Subject

HUB = "https://huggingface.co"
HEARD = {
    "WER %": "wer",
    "CER %": "cer",
    "unquantized WER %": "unquantized_wer",
    "WER increase, points": "wer_increase",
}
"""Columns of the table of clip sets, and their keys in validation.json."""
CERTAIN = f"In brackets: {LEVEL} % intervals."


def weights_table(subject: Subject) -> str:
    """How the weights are quantized, and their size."""
    manifest, recipe = subject.manifest, subject.variant.recipe
    quantize = recipe.quantize
    how = f"{quantize.mode}, {quantize.bits_in_words}, {quantize.groups_in_words}" if quantize else "none"
    searched = f", search: {quantize.search}" if quantize and quantize.search != PLAIN else ""
    behind = ", sequential" if quantize and quantize.sequential else ""
    different = "; ".join(_rule(rule) for rule in quantize.rules) if quantize else ""
    rows = [
        ("quantization", how + searched + behind),
        *([("different for", different)] if different else []),
        *_calibration(manifest.recipe),
        ("other tensors", recipe.dtype),
        ("bits per weight", f"{manifest.bits_per_weight:.3f}"),
        ("parameters", f"{manifest.parameters:,}"),
        ("size of the weights", megabytes(manifest.weight_bytes) + " MB"),
    ]
    return markdown(rows, ["the weights", ""])


def _calibration(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What second moments were measured over, and which matrices were rounded without them."""
    calibration, rounding = recipe.get("calibration", {}), recipe.get("rounding", {})
    rows = []
    if "recordings" in calibration:
        heard = f"{calibration['recordings']:,} recordings, {calibration['seconds']:,.1f} s"
        rows += [("calibrated over", f"{calibration['clips']}: {heard}")]
    if measured := recipe.get("allocation"):
        chosen = f"the KL divergence of each matrix quantized alone, sha256 {measured['sensitivity']}"
        rows += [("bits chosen by", chosen)]
    if without := rounding.get("without_moments"):
        rows += [("rounded without moments", ", ".join(without))]
    if where := rounding.get("reproducible"):
        rows += [("reproducible", where)]
    return rows


def wer_table(validation: Mapping[str, Any]) -> str:
    """Error rates by clip set and in total, of the content of validation.json."""
    rows = [
        [
            name,
            f"{s['clips']:,}",
            f"{s['words']:,}",
            *(Estimate.of(s[key]).in_words(2) for key in HEARD.values()),
        ]
        for name, s in [*validation["sets"].items(), ("all", validation["total"])]
    ]
    return markdown(rows, ["clip set", "clips", "words", *HEARD])


def fidelity_table(subject: Subject) -> str:
    """How near the next-token distributions are to the unquantized weights'."""
    near, total = subject.validation["fidelity"], subject.validation["total"]
    same, other = Estimate.of(total["text_agreement"]) * 100, Estimate.of(total["character_agreement"]) * 100
    rows = [
        ("clips with the same text, %", same.in_words(1)),
        ("same characters, %", other.in_words(2)),
        ("positions compared", f"{near['positions']:,}"),
        ("same likeliest token, %", (Estimate.of(near["top1_agreement"]) * 100).in_words(2)),
        ("KL divergence, mean, nats", Estimate.of(near["kl_mean"]).in_words(5)),
        ("KL divergence, 99th percentile, nats", Estimate.of(near["kl_p99"]).in_words(4)),
    ]
    return markdown(rows, ["against the unquantized weights", ""])


def siblings_table(siblings: Iterable[Sibling], own: str) -> str:
    """All variants; the one of the recipe `own` is bold."""
    rows = [[f"**{cell}**" for cell in _row(s)] if s.recipe == own else _row(s) for s in siblings]
    return markdown(
        rows, ["variant", "MB", "bits per weight", "WER %", "WER % in the worst set", "KL mean, nats"]
    )


def megabytes(size: int) -> str:
    """A size in MB of 10**6 bytes."""
    return f"{size / 1e6:,.2f}"


def _row(sibling: Sibling) -> list[str]:
    return [
        f"[{sibling.recipe}]({HUB}/{sibling.repo})",
        megabytes(sibling.bytes),
        f"{sibling.bits_per_weight:.3f}",
        sibling.wer_estimate.in_words(2),
        f"{sibling.worst_wer:.2f}",
        "" if sibling.kl_mean is None else sibling.kl_estimate.in_words(5),
    ]


def _rule(rule: Rule) -> str:
    if rule.skip:
        return f"`{rule.match}`: not quantized"
    settings: dict[str, Any] = {
        "{} bits": rule.bits,
        "groups of {}": rule.group_size,
        "search: {}": rule.search,
    }
    given = [words.format(value) for words, value in settings.items() if value is not None]
    return f"`{rule.match}`: {', '.join(given)}"

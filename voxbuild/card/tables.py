"""The tables of a model card."""

from collections.abc import Iterable, Mapping
from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.quantization import Rule
from voxbuild.tensors.modes import PLAIN

from .siblings import Sibling
from .subject import Subject

HUB = "https://huggingface.co"
RATES = ("wer", "cer", "unquantized_wer")


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
    total = validation["total"] | {"unquantized_wer": validation["unquantized"]["wer"]}
    rows = [
        [name, f"{s['clips']:,}", f"{s['words']:,}", *(f"{s[rate]:.2f}" for rate in RATES)]
        for name, s in [*validation["sets"].items(), ("all", total)]
    ]
    return markdown(rows, ["clip set", "clips", "words", "WER %", "CER %", "unquantized WER %"])


def fidelity_table(subject: Subject) -> str:
    """How near the next-token distributions are to the unquantized weights'."""
    near = subject.validation["fidelity"]
    rows = [
        ("positions compared", f"{near['positions']:,}"),
        ("same likeliest token", f"{100 * near['top1_agreement']:.2f} %"),
        ("KL divergence, mean", f"{near['kl_mean']:.5f} nats"),
        ("KL divergence, 99th percentile", f"{near['kl_p99']:.4f} nats"),
    ]
    return markdown(rows, ["against the unquantized weights", ""])


def siblings_table(siblings: Iterable[Sibling], own: str) -> str:
    """All variants; the one of the recipe `own` is bold."""
    rows = [[f"**{cell}**" for cell in _row(s)] if s.recipe == own else _row(s) for s in siblings]
    return markdown(rows, ["variant", "MB", "bits per weight", "WER %", "WER % in the worst set"])


def megabytes(size: int) -> str:
    """A size in MB of 10**6 bytes."""
    return f"{size / 1e6:,.2f}"


def _row(sibling: Sibling) -> list[str]:
    return [
        f"[{sibling.recipe}]({HUB}/{sibling.repo})",
        megabytes(sibling.bytes),
        f"{sibling.bits_per_weight:.3f}",
        f"{sibling.wer:.2f}",
        f"{sibling.worst_wer:.2f}",
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

"""Checking a card: every number in the rendered files is compared with the measurements.

The front matter and the evaluation results are read by the Hub's client, the tables from the Markdown, all
without the code that wrote them. Each table must be there once, and no others: their numbers would not be
checked.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from voxbuild.artifact.manifest import CARD, EVAL_RESULTS, PLOT, Manifest

from .check_evaluation import check_evaluation, header_of, read_evaluation
from .reader import Row, read_text
from .siblings import Record, Sibling

SET = re.compile(r"(\S+) \((\d+) clips\)")
"""The name of a clip set in a result."""
ALL = "all"
RATES = ("wer", "cer")
SETS = {
    "clips": "clips",
    "words": "words",
    "WER %": "wer",
    "CER %": "cer",
    "unquantized WER %": "unquantized_wer",
    "WER increase, points": "wer_increase",
}
"""Columns of the table of clip sets: the key in validation.json; the first two are numbers, not estimates."""
WEIGHTS = ["the weights", ""]
FIDELITY = ["against the unquantized weights", ""]
HEARD = ["clip set", *SETS]
VARIANTS = ["variant", "MB", "bits per weight", "WER %", "WER % in the worst set", "KL mean, nats"]
MADE = ("quantization", "different for", "other tensors")
"""Rows of the table of weights that are not checked: how they were made."""
BOLD, PLAIN = "in bold", "in plain type"
HUB = "https://huggingface.co"

Tables = Mapping[tuple[str, ...], list[Row]]
"""Header -> rows."""


def check_card(
    folder: Path,
    manifest: Manifest,
    validation: Mapping[str, Any],
    record: Record = (),
    repo: str | None = None,
) -> list[str]:
    """How a card differs from the manifest, the validation and the record of variants, a phrase each.

    `record` is the whole record of the artifact's source. `repo`: the repository that the card must name.
    """
    try:
        content = (folder / CARD).read_text(encoding="utf-8")
        results, text = _results(content)
        entries = _entries(folder) if EVAL_RESULTS in manifest.files else []
        read = read_text(text)
        variants = _variants(manifest, validation, record)
        tables = {tuple(header.cells): rows for header, *rows in read.tables}
        evaluation = read_evaluation(folder, manifest)
        return [
            *(_check_repo(results, repo) if repo else ()),
            *_check_results(results, validation["sets"]),
            *_check_entries(entries, results, validation["sets"]),
            *_check_kinds([header.cells for header, *_ in read.tables], bool(variants), evaluation),
            *(check_evaluation(tables, evaluation, manifest) if evaluation else ()),
            *_check_facts(tables, manifest, validation),
            *_check_sets(tables, validation),
            *_check_variants(tables, variants),
            *_check_plot(read.images, PLOT in manifest.files, bool(variants)),
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        return [f"card or validation cannot be read: {' '.join(str(error).split())}"]


def _results(content: str) -> tuple[list[Any], str]:
    """The card's results, read by the Hub's client, and its text."""
    from huggingface_hub import ModelCard

    card = ModelCard(content)
    return list(card.data.get("eval_results", [])), card.text


def _entries(folder: Path) -> list[Any]:
    from huggingface_hub import parse_eval_result_entries

    return parse_eval_result_entries(yaml.safe_load((folder / EVAL_RESULTS).read_text(encoding="utf-8")))


def _check_repo(results: list[Any], repo: str) -> Iterator[str]:
    """The results must be those of the repository: its name is in the commands of the text, too."""
    for url in sorted({str(result.source_url) for result in results} - {f"{HUB}/{repo}"}):
        yield f"{CARD}: written for {url}, not for {HUB}/{repo}"


def _check_results(results: list[Any], sets: Mapping[str, Any]) -> Iterator[str]:
    """The model-index must hold both rates of every set, once, and nothing else."""
    found = [(*_set(result.dataset_name), result.metric_type, result.metric_value) for result in results]
    expected = [
        (name, sets[name]["clips"], rate, sets[name][rate]["value"]) for name in sets for rate in RATES
    ]
    yield from _differences(f"{CARD}: model-index", found, expected)


def _check_entries(entries: list[Any], results: list[Any], sets: Mapping[str, Any]) -> Iterator[str]:
    """The evaluation results must hold the WER of each set whose dataset has a revision on the Hub."""
    found = [(*_set(entry.notes or ""), entry.dataset_id, entry.value) for entry in entries]
    on_the_hub = {_set(r.dataset_name)[0]: r.dataset_type for r in results if r.dataset_revision}
    expected = [(n, sets[n]["clips"], d, sets[n]["wer"]["value"]) for n, d in on_the_hub.items() if n in sets]
    yield from _differences(EVAL_RESULTS, found, expected)


def _set(text: str) -> tuple[str, int]:
    """The name of a clip set and its number of clips."""
    match = SET.match(text)
    return (match[1], int(match[2])) if match else ("?", 0)


def _differences(
    where: str,
    found: list[tuple[Any, ...]],
    expected: list[tuple[Any, ...]],
    otherwise: str = "which was not measured",
) -> Iterator[str]:
    def words(parts: tuple[Any, ...]) -> str:
        return " ".join(map(str, parts)).strip()

    if sorted(map(repr, found)) != sorted(map(repr, expected)):
        for wrong in found:
            if wrong not in expected or found.count(wrong) > 1:
                yield f"{where}: {words(wrong)}, {otherwise}"
        for lost in expected:
            if lost not in found:
                yield f"{where}: lacks {words(lost)}"


def _check_kinds(
    headers: list[list[str]], with_variants: bool, evaluation: Mapping[str, Any] | None
) -> Iterator[str]:
    """Each table must be there once, and no others."""
    expected = [WEIGHTS, HEARD, FIDELITY, *([VARIANTS] if with_variants else [])]
    expected += [header_of(evaluation)] if evaluation else []
    for header in headers:
        if header not in expected:
            yield f"{CARD}: unknown table: {', '.join(header)}"
    for header in expected:
        if headers.count(header) != 1:
            yield f"{CARD}: {headers.count(header)} tables of {header[0]}, not 1"


def _check_facts(tables: Tables, manifest: Manifest, validation: Mapping[str, Any]) -> Iterator[str]:
    """The tables of two columns."""
    near, total = validation["fidelity"], validation["total"]
    facts = {
        "bits per weight": f"{manifest.bits_per_weight:,.3f}",
        "parameters": f"{manifest.parameters:,}",
        "size of the weights": f"{manifest.weight_bytes / 1e6:,.2f} MB",
        **_calibration(manifest.recipe),
        "clips with the same text, %": _estimate(total["text_agreement"], 1, 100),
        "same characters, %": _estimate(total["character_agreement"], 2, 100),
        "positions compared": f"{near['positions']:,}",
        "same likeliest token, %": _estimate(near["top1_agreement"], 2, 100),
        "KL divergence, mean, nats": _estimate(near["kl_mean"], 5),
        "KL divergence, 99th percentile, nats": _estimate(near["kl_p99"], 4),
    }
    rows = [row.cells for header in (WEIGHTS, FIDELITY) for row in tables.get(tuple(header), [])]
    for name, _ in rows:
        if name not in facts and name not in MADE:
            yield f"{CARD}: {name}: unknown row"
    for name, expected in facts.items():
        yield from _compare(f"{CARD}: {name}", [text for label, text in rows if label == name], expected)


def _estimate(stored: Mapping[str, float], digits: int, factor: int = 1) -> str:
    """How a figure of validation.json is written, with its interval."""
    value, low, high = (f"{factor * stored[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _calibration(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The rows that only an artifact has that was made with second moments."""
    facts = {}
    if "recordings" in (heard := recipe.get("calibration", {})):
        facts["calibrated over"] = (
            f"{heard['clips']}: {heard['recordings']:,} recordings, {heard['seconds']:,.1f} s"
        )
    if measured := recipe.get("allocation"):
        facts["bits chosen by"] = (
            f"the KL divergence of each matrix quantized alone, sha256 {measured['sensitivity']}"
        )
    rounding = recipe.get("rounding", {})
    if rounding.get("without_moments"):
        facts["rounded without moments"] = ", ".join(rounding["without_moments"])
    if "reproducible" in rounding:
        facts["reproducible"] = rounding["reproducible"]
    return facts


def _check_sets(tables: Tables, validation: Mapping[str, Any]) -> Iterator[str]:
    """The table of clip sets."""
    expected = {**validation["sets"], ALL: validation["total"]}
    rows = [row.cells for row in tables.get(tuple(HEARD), [])]
    if unknown := {row[0] for row in rows} - expected.keys():
        yield f"{CARD}: {', '.join(sorted(unknown))}: no such clip set"
    for name, rates in expected.items():
        for column, (heading, key) in enumerate(SETS.items(), 1):
            found = [row[column] for row in rows if row[0] == name]
            stored = rates[key]
            told = f"{stored:,}" if isinstance(stored, int) else _estimate(stored, 2)
            yield from _compare(f"{CARD}: {name}, {heading}", found, told)


def _variants(manifest: Manifest, validation: Mapping[str, Any], record: Record) -> list[tuple[Any, ...]]:
    """The rows of the table of variants: those on record for the same loader, and the card's own; or none.

    A row is the name, the figures, bold (the own one) or plain, and the link (empty for the own one).
    """
    dialect = (manifest.view or {}).get("dialect")
    others = [
        (
            s.recipe,
            *_figures(s.bytes, s.bits_per_weight, s.worst_wer, *_recorded(s)),
            PLAIN,
            f"{HUB}/{s.repo}",
        )
        for s in record
        if s.dialect == dialect and s.recipe != manifest.variant
    ]
    worst = max((rates["wer"]["value"] for rates in validation["sets"].values()), default=0.0)
    size, bits = manifest.weight_bytes, manifest.bits_per_weight
    wer, kl = _estimate(validation["total"]["wer"], 2), _estimate(validation["fidelity"]["kl_mean"], 5)
    own = (manifest.variant, *_figures(size, bits, worst, wer, kl), BOLD, "")
    return [*others, own] if others else []


def _recorded(sibling: Sibling) -> tuple[str, str]:
    """WER and KL of a variant on record, in one of before intervals, or KL, were kept without them."""
    wer, kl = f"{sibling.wer:.2f}", "" if sibling.kl_mean is None else f"{sibling.kl_mean:.5f}"
    if sibling.wer_interval:
        wer += " ({:.2f} to {:.2f})".format(*sibling.wer_interval)
    if sibling.kl_interval:
        kl += " ({:.5f} to {:.5f})".format(*sibling.kl_interval)
    return wer, kl


def _figures(size: int, bits: float, worst: float, wer: str, kl: str) -> list[str]:
    return [f"{size / 1e6:,.2f}", f"{bits:.3f}", wer, f"{worst:.2f}", kl]


def _check_variants(tables: Tables, expected: list[tuple[Any, ...]]) -> Iterator[str]:
    """The table of variants: the others as recorded, the card's own as measured."""
    found = []
    for row in tables.get(tuple(VARIANTS), []):
        face = BOLD if all(row.bold) else PLAIN
        found.append((*row.cells, face, "" if face == BOLD else " ".join(row.links)))
    yield from _differences(f"{CARD}: variant", found, expected, "which is neither measured nor on record")


def _check_plot(images: list[str], written: bool, with_variants: bool) -> Iterator[str]:
    """With a table of variants there must be a plot as the only image, else no image."""
    if images != ([PLOT] if with_variants else []) or written != with_variants:
        yield f"{CARD}: must show {PLOT} and no other image if it has a table of variants, else no image"


def _compare(what: str, found: list[str], expected: str) -> Iterator[str]:
    if found != [expected]:
        yield f"{what}: {' and '.join(found) or 'nothing'}, not {expected}"

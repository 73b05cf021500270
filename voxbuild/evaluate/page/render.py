"""The report page: evaluation.json's figures and texts in one HTML file, which needs no network."""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from voxbuild.evaluate.forms import by_size

SCRIPTS = ("elements", "charts", "fidelity", "tables", "texts", "clips", "app")
"""In this order, as the styles: each builds on what is before it."""
STYLES = ("style", "tables", "charts", "clips", "narrow")
IN_HTML = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""JSON that cannot end its element, whatever a transcript holds."""

SHOWN = ("wer", "wer_increase", "cer", "text_agreement")
FIDELITY = ("top1_agreement", "kl_mean", "kl_p99")
"""The figures of a cell on the page."""

Evaluation = Mapping[str, Any]
"""The content of evaluation.json."""


def render(evaluation: Evaluation, audio: Mapping[str, str]) -> str:
    """The page. `audio`: clip -> the address of its recording, relative to the page or a data URI."""
    script, style = (
        "\n".join(_static(f"{name}.{kind}") for name in names)
        for kind, names in (("js", SCRIPTS), ("css", STYLES))
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_static("page.html")).render(
        title=f"{evaluation['source']['model']}: evaluation",
        lead=_lead(evaluation),
        style=Markup(style),
        script=Markup(script),
        script_hash=_hash(script),
        data=Markup(_in_html(page_data(evaluation, audio))),
    )


def _static(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8").rstrip("\n")


def _hash(script: str) -> str:
    """The hash by which a browser knows the page's own script, and runs no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _in_html(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.translate(IN_HTML)


def _lead(evaluation: Evaluation) -> str:
    sets = evaluation["sets"].values()
    clips, minutes = sum(each["clips"] for each in sets), sum(each["seconds"] for each in sets) / 60
    heard = f"{_number(clips, 'clip')} ({minutes:,.1f} minutes) of {_number(len(sets), 'clip set')}"
    variants = _number(len(evaluation["variants"]) - 1, "variant")
    return (
        f"{evaluation['source']['summary']} Here its unquantized weights and {variants} of them heard {heard}"
        f" at {_number(len(evaluation['delays']), 'delay')}."
    )


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def page_data(evaluation: Evaluation, audio: Mapping[str, str]) -> dict[str, Any]:
    """What the page's script reads: evaluation.json with numbers instead of names where they repeat."""
    variants, sets, delays = by_size(evaluation), sorted(evaluation["sets"]), evaluation["delays"]
    groups = _groups(evaluation)
    places = {key: n for n, (key, _) in enumerate(groups)}
    return {
        "delays": delays,
        "default_delay": evaluation["default_delay"],
        "variants": [{"name": name, "bytes": evaluation["variants"][name]["bytes"]} for name in variants],
        "sets": [{"name": name, **evaluation["sets"][name]} for name in sets],
        "groups": [group for _, group in groups],
        "cells": [
            {
                **{name: cell[name] for name in SHOWN},
                **{name: (cell["fidelity"] or {}).get(name) for name in FIDELITY},
                "variant": variants.index(cell["variant"]),
                "delay": delays.index(cell["delay_ms"]),
                "group": places[cell["set"], cell["language"]],
            }
            for cell in evaluation["cells"]
        ],
        "clips": [
            {
                "name": name,
                "set": sets.index(clip["set"]),
                "reference": clip["reference"],
                "normalised": clip["normalised"],
                "texts": clip["texts"],
                "heard": [clip["heard"][variant] for variant in variants],
                "audio": audio.get(name),
            }
            for name, clip in sorted(evaluation["clips"].items())
        ],
    }


def _groups(evaluation: Evaluation) -> list[tuple[tuple[str | None, str | None], dict[str, Any]]]:
    """What the cells are over, in their order: (set, language) -> the choice on the page."""
    keys = dict.fromkeys((cell["set"], cell["language"]) for cell in evaluation["cells"])
    return [((name, language), _group(evaluation, name, language)) for name, language in keys]


def _group(evaluation: Evaluation, name: str | None, language: str | None) -> dict[str, Any]:
    sets = [(each, evaluation["sets"][each]) for each in sorted(evaluation["sets"])]
    members = [
        place
        for place, (each, about) in enumerate(sets)
        if name in (None, each) and language in (None, about["language"])
    ]
    title = name or (f"language {language}" if language else "all clips")
    clips = _number(sum(sets[place][1]["clips"] for place in members), "clip")
    return {"name": title, "sets": members, "words": f"the {clips} of {title}" if name or language else title}

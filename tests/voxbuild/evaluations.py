"""A made-up evaluation, in the form of evaluation.json."""

DELAYS = [160, 480]
VARIANTS = {"unquantized": 8.13, "4bit": 2.62, "8bit": 4.54}
"""Name -> MB."""


def figure(value, width=1.0):
    return {"value": value, "low": value - width, "high": value + width}


def cell(variant, delay, clip_set=None, language=None):
    known = {"clips": 2, "speakers": None, "words": 7, "substitutions": 1, "deletions": 0, "insertions": 0}
    rates = {"wer": figure(8.5), "cer": figure(3.5)}
    compared = {
        "wer_increase": figure(0.5),
        "text_agreement": figure(0.9, 0.05),
        "fidelity": {
            "positions": 50,
            "top1_agreement": figure(0.98, 0.01),
            "kl_mean": figure(0.005, 0.001),
            "kl_p99": figure(0.1, 0.01),
        },
    }
    if variant == "unquantized":
        compared = dict.fromkeys(compared)
    where = {"variant": variant, "delay_ms": delay, "set": clip_set, "language": language}
    return where | known | rates | compared


def clip_set(language, unit, clips):
    return {
        "summary": "Two sentences.",
        "language": language,
        "license": "CC0-1.0",
        "attribution": "nobody",
        "normaliser": "made up",
        "unit": unit,
        "clips": clips,
        "seconds": 3.0 * clips,
    }


def clip(name, reference, *texts):
    """Each variant writes the next of the texts, at each delay."""
    written = [{"text": t, "normalised": t.lower(), "errors": int(t != reference)} for t in texts]
    heard = {v: [(n + m) % len(texts) for m in range(len(DELAYS))] for n, v in enumerate(VARIANTS)}
    return {
        "set": name,
        "reference": reference,
        "normalised": reference.lower(),
        "texts": written,
        "heard": heard,
    }


def made_up(more=0):
    """Two clip sets in two languages; `more` clips in the first."""
    clips = {
        "calls/one": clip("calls", "press one to record", "press one to record", "press to to record it"),
        "calls/two": clip("calls", "press two", "press two", "</script><script>alert(1)</script><b>two</b>"),
        "signs/one": clip("signs", "请按一", "请按一", "请一二"),
    }
    clips |= {
        f"calls/more-{n}": clip("calls", f"press {n}", f"press {n}", f"dress {n} &") for n in range(more)
    }
    sets = {"calls": clip_set("en", "word", 2 + more), "signs": clip_set("zh", "character", 1)}
    return {
        "format": 1,
        "source": {"name": "tiny", "model": "Tiny", "summary": "A small model."},
        "runtime": {},
        "delays": DELAYS,
        "default_delay": 480,
        "sets": sets,
        "variants": {
            name: {"digest": name, "bytes": int(size * 1e6), "bits_per_weight": 4.5}
            for name, size in VARIANTS.items()
        },
        "cells": [cell(v, d, s) for v in VARIANTS for d in DELAYS for s in (None, *sets)],
        "clips": clips,
    }

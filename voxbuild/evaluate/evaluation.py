"""The content of evaluation.json: figures by variant, delay and clips, and every text that was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from voxbuild.artifact.evaluated import FORMAT
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import Source
from voxbuild.statistics.errors import count_errors
from voxbuild.statistics.normalise import Normaliser

from .figures import Scored, pooled, scored
from .grid import Cell, Grid, Heard
from .jobs import Model, Result

AGAINST_THE_SOURCE = (
    *("wer_increase", "cer_increase", "text_agreement", "character_agreement"),
    *("unquantized_wer", "unquantized_cer", "fidelity"),
)
"""Figures that the source itself has none of."""


@dataclass(frozen=True)
class Group:
    """Clips over which there are figures: those of a set, of a language or (neither) all."""

    set: str | None
    language: str | None
    places: Sequence[int]
    """Of its clips in `Grid.everything`."""


@dataclass(frozen=True)
class Evaluation:
    """What was heard in a grid, and who heard it."""

    grid: Grid
    heard: Heard
    source: Source
    sizes: Mapping[str, Mapping[str, float]]
    """Model's name -> its bytes and bits per weight."""
    runtime: Mapping[str, str]
    """The versions and the device that computed it."""

    def as_json(self) -> dict[str, Any]:
        """The content of evaluation.json; the same for the same results, whoever computed them."""
        grid = self.grid
        return {
            "format": FORMAT,
            "source": {"name": self.source.name, "model": self.source.model, "summary": self.source.summary},
            "runtime": dict(self.runtime),
            "delays": [_whole(delay) for delay in grid.delays],
            "default_delay": _whole(grid.default_delay),
            "sets": {name: self._set(name) for name in sorted(grid.sets)},
            "variants": {
                model.name: {"digest": model.digest, **self.sizes[model.name]} for model in grid.models
            },
            "cells": [
                self._cell(model, delay, group)
                for model in grid.models
                for delay in grid.delays
                for group in self._groups
            ],
            "clips": {
                clip.name: self._clip(place, clip)
                for place, clip in sorted(enumerate(grid.everything), key=lambda each: each[1].name)
            },
        }

    @cached_property
    def _set_of(self) -> list[str]:
        """The clip set of each clip."""
        return [name for name, members in self.grid.clips.items() for _ in members]

    @cached_property
    def _normalisers(self) -> list[Normaliser]:
        """The normaliser of each clip."""
        return [self.grid.sets[name].normaliser for name in self._set_of]

    @cached_property
    def _groups(self) -> list[Group]:
        sets = self.grid.sets
        languages = sorted({clips.language for clips in sets.values()})
        keys: list[tuple[str | None, str | None]] = [(None, None), *((name, None) for name in sorted(sets))]
        if 1 < len(languages) < len(sets):  # else each language is a set, or all clips
            keys += [(None, language) for language in languages]
        return [Group(name, language, self._places(name, language)) for name, language in keys]

    def _places(self, name: str | None, language: str | None) -> list[int]:
        return [
            place
            for place, own in enumerate(self._set_of)
            if name in (None, own) and language in (None, self.grid.sets[own].language)
        ]

    def _set(self, name: str) -> dict[str, Any]:
        clips, normaliser = self.grid.sets[name], self.grid.sets[name].normaliser
        theirs = self.heard[self.grid.source.name, self.grid.delays[0]]
        return {
            "summary": clips.summary,
            "language": clips.language,
            "license": clips.license,
            "attribution": clips.attribution,
            "normaliser": normaliser.name,
            "unit": normaliser.unit,
            "clips": len(self.grid.clips[name]),
            "seconds": round(sum(theirs[place].seconds for place in self._places(name, None)), 3),
        }

    @cached_property
    def _scored(self) -> dict[Cell, list[Scored]]:
        """Each clip of each cell beside the source's."""
        return {cell: self._beside(results, cell[1]) for cell, results in self.heard.items()}

    def _beside(self, results: Sequence[Result], delay: float) -> list[Scored]:
        theirs = self.heard[self.grid.source.name, delay]
        rows = zip(self.grid.everything, results, theirs, self._normalisers, strict=True)
        return [scored([clip], [ours], [source], normaliser)[0] for clip, ours, source, normaliser in rows]

    def _cell(self, model: Model, delay: float, group: Group) -> dict[str, Any]:
        all_clips = self._scored[model.name, delay]
        figures = pooled([all_clips[place] for place in group.places]).as_json()
        if model == self.grid.source:
            figures |= dict.fromkeys(AGAINST_THE_SOURCE)
        where = {
            "variant": model.name,
            "delay_ms": _whole(delay),
            "set": group.set,
            "language": group.language,
        }
        return where | figures

    def _clip(self, place: int, clip: Clip) -> dict[str, Any]:
        """What was said in a clip, all texts that were written, and which of them each variant wrote."""
        name, normaliser, texts = self._set_of[place], self._normalisers[place], dict[str, int]()
        heard: dict[str, list[int]] = {}
        for model in self.grid.models:
            for delay in self.grid.delays:
                text = self.heard[model.name, delay][place].text
                heard.setdefault(model.name, []).append(texts.setdefault(text, len(texts)))
        return {
            "set": name,
            "reference": clip.text,
            "normalised": normaliser(clip.text),
            "texts": [
                {
                    "text": text,
                    "normalised": normaliser(text),
                    "errors": count_errors(clip.text, text, normaliser).word_errors,
                }
                for text in texts
            ],
            "heard": heard,
        }


def _whole(delay: float) -> float:
    """480 for 480.0."""
    return int(delay) if delay == int(delay) else delay

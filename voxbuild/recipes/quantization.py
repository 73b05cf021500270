"""A recipe's `quantize:` section: default settings for all matrices, and rules for some of them."""

import fnmatch
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import DEFAULT_MODE, MODES, PLAIN, Quantization

from .schema import FieldError, Strict


def _one_of(known: Mapping[str, object]) -> Any:
    """A key of a table, looked up when a recipe is read."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"Input should be one of {', '.join(known)}")
        return name

    return pydantic.AfterValidator(check)


ModeName = Annotated[str, _one_of(MODES)]
Search = Annotated[str, _one_of(METHODS)]


class QuantizationFields(Strict):
    """Mode, bits, group size and search; checked against what MLX supports."""

    mode: ModeName = DEFAULT_MODE
    bits: int
    group_size: int
    search: Search = PLAIN
    """How scales and biases are found: from the range, or by the least (weighted) squared error."""

    @pydantic.model_validator(mode="after")
    def _is_supported(self) -> "QuantizationFields":
        _check(self.quantization)
        return self

    @property
    def quantization(self) -> Quantization:
        """The default settings."""
        return Quantization(self.mode, self.bits, self.group_size, self.search)


class Rule(Strict):
    """Other settings for the modules that match, or no quantization (`skip`)."""

    match: Annotated[str, pydantic.Field(max_length=500)]
    bits: int | None = None
    group_size: int | None = None
    search: Search | None = None
    skip: bool = False

    def matches(self, path: str) -> bool:
        """Whether it matches a module's path."""
        return fnmatch.fnmatchcase(path, self.match)

    @pydantic.model_validator(mode="after")
    def _has_effect(self) -> "Rule":
        if self.skip == any(value is not None for value in (self.bits, self.group_size, self.search)):
            raise ValueError("a rule needs either `skip: true`, or bits, group_size and/or search")
        return self


class Quantize(QuantizationFields):
    """Default settings and rules; for each module, the first rule that matches its path applies."""

    sequential: bool = False
    """With `search: gptq`: each matrix is rounded behind others that are quantized already."""
    rules: tuple[Rule, ...] = ()

    @pydantic.model_validator(mode="after")
    def _is_sequential_with_second_moments(self) -> "Quantize":
        if self.sequential and self.moments != "matrix":
            raise FieldError("`sequential: yes` needs `search: gptq`", "sequential")
        return self

    @pydantic.model_validator(mode="after")
    def _needs_one_kind_of_moments(self) -> "Quantize":
        if len(set(self.calibrated.values())) > 1:
            names = " and ".join(f"`search: {name}`" for name in self.calibrated)
            raise FieldError(f"{names} need different moments; use one of them", "rules")
        return self

    @pydantic.model_validator(mode="after")
    def _rules_are_supported(self) -> "Quantize":
        for number, rule in enumerate(self.rules):
            if changed := self._changed_by(rule):
                _check(changed, "rules", number)
        return self

    @property
    def calibrated(self) -> dict[str, str]:
        """The searches of any matrix that need calibration -> the kind of moments that they need."""
        searches = (self.search, *(rule.search for rule in self.rules if rule.search))
        return {name: kind for name in searches if (kind := METHODS[name].moments)}

    @property
    def moments(self) -> str | None:
        """The kind of moments that it needs of a calibration; None: it needs none."""
        return next(iter(self.calibrated.values()), None)

    def for_module(self, path: str) -> Quantization | None:
        """The settings for the matrix of a module (canonical path); None: it is not quantized."""
        rule = self.rule_for(path)
        return self._changed_by(rule) if rule else self.quantization

    def rule_for(self, path: str) -> Rule | None:
        """The first rule that matches a module's path."""
        return next((rule for rule in self.rules if rule.matches(path)), None)

    def without(self, number: int) -> "Quantize":
        """The same without one of its rules."""
        return self.model_copy(update={"rules": self.rules[:number] + self.rules[number + 1 :]})

    def _changed_by(self, rule: Rule) -> Quantization | None:
        if rule.skip:
            return None
        bits = self.bits if rule.bits is None else rule.bits
        group_size = self.group_size if rule.group_size is None else rule.group_size
        return Quantization(self.mode, bits, group_size, rule.search or self.search)


def _check(how: Quantization, *where: str | int) -> None:
    """Raises FieldError unless MLX supports these settings, and the search method supports the mode."""
    mode = MODES[how.mode]
    for key, value, allowed in (
        ("bits", how.bits, mode.bits),
        ("group_size", how.group_size, mode.group_sizes),
    ):
        if value not in allowed:
            known = ", ".join(map(str, allowed))
            raise FieldError(f"{how.mode} allows {key} {known}, not {value}", *where, key)
    if METHODS[how.search].needs_biases and not mode.has_biases:
        raise FieldError(f"only modes with biases can be searched, not {how.mode}", *where, "search")

"""What a recipe's `quantize:` may say: one choice for all matrices, and rules for some."""

import fnmatch
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import DEFAULT_MODE, MODES, PLAIN, Quantization

from .schema import FieldError, Strict


def _one_of(known: Mapping[str, object]) -> Any:
    """A name that a table knows; the table is asked when a recipe is read."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"Input should be one of {', '.join(known)}")
        return name

    return pydantic.AfterValidator(check)


ModeName = Annotated[str, _one_of(MODES)]
Search = Annotated[str, _one_of(METHODS)]


class QuantizationFields(Strict):
    """Mode, bits, group size and search, all checked against what MLX knows, and what can be searched."""

    mode: ModeName = DEFAULT_MODE
    bits: int
    group_size: int
    search: Search = PLAIN
    """How scales and biases are found: from the range, or as those of least (weighted) squared error."""

    @pydantic.model_validator(mode="after")
    def _possible(self) -> "QuantizationFields":
        _check(self.quantization)
        return self

    @property
    def quantization(self) -> Quantization:
        """The same, as a value."""
        return Quantization(self.mode, self.bits, self.group_size, self.search)


class Rule(Strict):
    """What is different for the modules that match: other numbers, or none at all (`skip`)."""

    match: Annotated[str, pydantic.Field(max_length=500)]
    bits: int | None = None
    group_size: int | None = None
    search: Search | None = None
    skip: bool = False

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> "Rule":
        if self.skip == any(said is not None for said in (self.bits, self.group_size, self.search)):
            raise ValueError("a rule says either `skip: true`, or bits, group_size and/or search")
        return self


class Quantize(QuantizationFields):
    """The default for every matrix, and rules; the first that matches a module's path counts."""

    rules: tuple[Rule, ...] = ()

    @pydantic.model_validator(mode="after")
    def _possible_rules(self) -> "Quantize":
        for number, rule in enumerate(self.rules):
            if changed := self._changed_by(rule):
                _check(changed, "rules", number)
        return self

    @property
    def needs_moments(self) -> bool:
        """Whether the search of any matrix needs calibration."""
        searches = (self.search, *(rule.search for rule in self.rules))
        return any(METHODS[search].needs_moments for search in searches if search)

    def for_module(self, path: str) -> Quantization | None:
        """How the matrix of a module (canonical path) is quantized; None: it is not."""
        for rule in self.rules:
            if fnmatch.fnmatchcase(path, rule.match):
                return self._changed_by(rule)
        return self.quantization

    def _changed_by(self, rule: Rule) -> Quantization | None:
        if rule.skip:
            return None
        bits = self.bits if rule.bits is None else rule.bits
        group_size = self.group_size if rule.group_size is None else rule.group_size
        return Quantization(self.mode, bits, group_size, rule.search or self.search)


def _check(how: Quantization, *where: str | int) -> None:
    """Raises FieldError unless MLX can do it."""
    mode = MODES[how.mode]
    if how.bits not in mode.bits:
        raise FieldError(f"{how.mode} knows bits {_list(mode.bits)}, not {how.bits}", *where, "bits")
    if how.group_size not in mode.group_sizes:
        sizes = _list(mode.group_sizes)
        raise FieldError(f"{how.mode} knows group_size {sizes}, not {how.group_size}", *where, "group_size")
    if METHODS[how.search].needs_biases and not mode.has_biases:
        raise FieldError(f"only modes with biases can be searched for, {how.mode} cannot", *where, "search")


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))

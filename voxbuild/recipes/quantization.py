"""A recipe's `quantize:` section: default settings for all matrices, and rules for some of them."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import pydantic

from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import DEFAULT_MODE, MODES, PLAIN, Quantization

from .schema import FieldError, Strict

SIZE = r"^\d+(\.\d+)?(MB|GB)$"


def listed(values: Iterable[int], word: str) -> str:
    """Numbers for people: `2, 3 or 4`, with `word` before the last."""
    *others, last = map(str, values)
    return f"{', '.join(others)} {word} {last}" if others else last


def _one_of(known: Mapping[str, object]) -> Any:
    """A key of a table, looked up when a recipe is read."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"Input should be one of {', '.join(known)}")
        return name

    return pydantic.AfterValidator(check)


ModeName = Annotated[str, _one_of(MODES)]
Search = Annotated[str, _one_of(METHODS)]


class Budget(Strict):
    """How large the artifact may be, in one of three ways; what fits best is measured."""

    average: Annotated[float, pydantic.Field(gt=0, le=16)] | None = None
    """As large as if every matrix had this number of bits, in groups of the section's `group_size`."""
    budget: Annotated[float, pydantic.Field(gt=0, le=16)] | None = None
    """Stored bits for each of the model's parameters, all tensors counted."""
    bytes: Annotated[str, pydantic.Field(pattern=SIZE)] | None = None
    """Size of all weight files, with their headers."""

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> "Budget":
        if sum(value is not None for value in (self.average, self.budget, self.bytes)) != 1:
            raise ValueError("a size limit needs exactly one of `average:`, `budget:` and `bytes:`")
        return self

    @property
    def in_words(self) -> str:
        """The limit, for people."""
        if self.bytes is not None:
            return f"{self.bytes} of weight files"
        if self.budget is not None:
            return f"{self.budget:g} bits per weight"
        return f"the size of {self.average:g} bits for every matrix"

    @property
    def counted(self) -> str:
        """What the limit counts, for people."""
        return "tensors" if self.bytes is None else "weight files"


def _no_size(value: object) -> object:
    """Raises ValueError for a size in place of the bits."""
    if isinstance(value, str) and re.fullmatch(SIZE, value):
        raise ValueError(f"a size limit is written as `bits: {{bytes: {value}}}`")
    return value


def _bits_or_budget(value: object) -> str:
    return "[budget]" if isinstance(value, dict | Budget) else "[int]"


Bits = Annotated[
    Annotated[int, pydantic.BeforeValidator(_no_size), pydantic.Tag("[int]")]
    | Annotated[Budget, pydantic.Tag("[budget]")],
    pydantic.Discriminator(_bits_or_budget),
]


class Matching(Strict):
    """Something for the modules whose paths match a pattern."""

    match: Annotated[str, pydantic.Field(max_length=500)]

    def matches(self, path: str) -> bool:
        """Whether it matches a module's path."""
        return fnmatch.fnmatchcase(path, self.match)


class Least(Matching):
    """The fewest bits that a budget may give to the modules that match."""

    bits: int


class Rule(Matching):
    """Other settings for the modules that match, or no quantization (`skip`)."""

    bits: int | None = None
    group_size: int | None = None
    search: Search | None = None
    skip: bool = False

    @pydantic.model_validator(mode="after")
    def _has_effect(self) -> "Rule":
        if self.skip == any(value is not None for value in (self.bits, self.group_size, self.search)):
            raise ValueError("a rule needs either `skip: true`, or bits, group_size and/or search")
        return self


class Quantize(Strict):
    """Default settings and rules; for each module, the first rule that matches its path applies.

    With a budget instead of bits, `voxbuild.plan.allocation` makes default settings and rules of it.
    """

    mode: ModeName = DEFAULT_MODE
    bits: Bits
    group_size: int
    search: Search = PLAIN
    """How scales and biases are found: from the range, or by the least (weighted) squared error."""
    widths: Annotated[tuple[int, ...], pydantic.Field(min_length=1)] | None = None
    """The bits that a budget chooses from. Default: all that the mode allows."""
    group_sizes: Annotated[tuple[int, ...], pydantic.Field(min_length=1)] | None = None
    """The group sizes that a budget chooses from. Default: `group_size` only."""
    least: tuple[Least, ...] = ()
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
    def _is_supported(self) -> "Quantize":
        if isinstance(self.bits, Budget):
            self._check_candidates()
        else:
            for key in ("widths", "group_sizes", "least"):
                if getattr(self, key):
                    raise FieldError("only with a size limit, such as `bits: {average: 4}`", key)
            _check(self.quantization)
        for number, rule in enumerate(self.rules):
            if changed := self._changed_by(rule):
                _check(changed, "rules", number)
        return self

    def _check_candidates(self) -> None:
        """Raises FieldError for candidates that MLX does not support, or that are listed twice."""
        any_bits = MODES[self.mode].bits[0]
        _check(Quantization(self.mode, any_bits, self.group_size, self.search))
        for key, values in (("widths", self.widths or ()), ("group_sizes", self.group_sizes or ())):
            for number, value in enumerate(values):
                if value in values[:number]:
                    raise FieldError(f"{value} is listed twice", key, number)
                candidate = {"widths": (value, self.group_size), "group_sizes": (any_bits, value)}[key]
                _check(Quantization(self.mode, *candidate, self.search), key, number, named=False)
        if not MODES[self.mode].has_biases:
            raise FieldError(
                f"a size limit needs a mode with biases, such as affine, not {self.mode}", "mode"
            )
        for number, rule in enumerate(self.rules):
            if rule.search:
                raise FieldError(
                    "with a size limit, all matrices have the same search", "rules", number, "search"
                )
        for number, least in enumerate(self.least):
            if least.bits > max(self.candidate_bits):
                raise FieldError(f"no candidate has {least.bits} bits", "least", number, "bits")

    @property
    def budget(self) -> Budget | None:
        """The budget, if it has one instead of bits."""
        return self.bits if isinstance(self.bits, Budget) else None

    @property
    def candidate_bits(self) -> tuple[int, ...]:
        """The bits that a budget chooses from, in ascending order."""
        return tuple(sorted(self.widths or MODES[self.mode].bits))

    @property
    def candidate_groups(self) -> tuple[int, ...]:
        """The group sizes that a budget chooses from, in ascending order."""
        return tuple(sorted(self.group_sizes or (self.group_size,)))

    @property
    def quantization(self) -> Quantization:
        """The default settings; of a section with a budget, those of its smallest candidate."""
        bits = self.candidate_bits[0] if isinstance(self.bits, Budget) else self.bits
        return Quantization(self.mode, bits, self.group_size, self.search)

    @property
    def bits_in_words(self) -> str:
        """The bits, for people."""
        if not isinstance(self.bits, Budget):
            return f"{self.bits} bits"
        each = listed(self.candidate_bits, "or")
        return f"each matrix with {each} bits or unquantized, the best within {self.bits.in_words}"

    @property
    def groups_in_words(self) -> str:
        """The group sizes, for people."""
        sizes = self.candidate_groups if isinstance(self.bits, Budget) else (self.group_size,)
        return f"groups of {listed(sizes, 'or')}"

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
        number = self.rule_number(path)
        return None if number is None else self.rules[number]

    def rule_number(self, path: str) -> int | None:
        """The place in `rules` of the first rule that matches a module's path."""
        return next((number for number, rule in enumerate(self.rules) if rule.matches(path)), None)

    def without(self, number: int) -> "Quantize":
        """The same without one of its rules."""
        return self.model_copy(update={"rules": self.rules[:number] + self.rules[number + 1 :]})

    def _changed_by(self, rule: Rule) -> Quantization | None:
        if rule.skip:
            return None
        default = self.quantization
        bits = default.bits if rule.bits is None else rule.bits
        group_size = default.group_size if rule.group_size is None else rule.group_size
        return Quantization(self.mode, bits, group_size, rule.search or self.search)


def _check(how: Quantization, *where: str | int, named: bool = True) -> None:
    """Raises FieldError unless MLX supports these settings, and the search method supports the mode.

    `where` is the place of the settings, or (not `named`) of the one of them that may be wrong.
    """
    mode = MODES[how.mode]
    for key, value, allowed in (
        ("bits", how.bits, mode.bits),
        ("group_size", how.group_size, mode.group_sizes),
    ):
        if value not in allowed:
            known = ", ".join(map(str, allowed))
            raise FieldError(
                f"{how.mode} allows {key} {known}, not {value}", *where, *([key] if named else [])
            )
    if METHODS[how.search].needs_biases and not mode.has_biases:
        raise FieldError(f"only modes with biases can be searched, not {how.mode}", *where, "search")

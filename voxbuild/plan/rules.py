"""Settings of modules as a recipe's rules: one for all that a pattern matches, where they agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from voxbuild.recipes.quantization import Quantize, Rule
from voxbuild.tensors.modes import Quantization

Setting = Quantization | None
"""Of a module; None: it is left as it is."""
Shapes = Mapping[str, tuple[int, ...]]


def rules_for(default: Quantization, found: Mapping[str, Setting], shapes: Shapes) -> tuple[Rule, ...]:
    """Rules by which each module gets its setting in `found`; `default` holds for the rest."""
    as_default = {module: default if default.fits(shapes[module]) else None for module in found}
    left = {module for module in found if found[module] != as_default[module]}
    undecided, rules = set(found), list[Rule]()
    for pattern, matched in _patterns(found):
        own = [module for module in matched if module in undecided]
        if not left.intersection(own):
            continue
        how = next(found[module] for module in own if module in left)
        if all(found[module] == _given(how, shapes[module]) for module in own):
            rules.append(_rule(pattern, how, default))
            undecided.difference_update(own)
            left.difference_update(own)
    return _with_effect(default, tuple(rules), found, shapes)


def _given(how: Setting, shape: tuple[int, ...]) -> Setting:
    return how if how and how.fits(shape) else None


def _patterns(modules: Mapping[str, Setting]) -> list[tuple[str, list[str]]]:
    """Patterns and the modules that each matches; those that match most first, then in the given order."""
    matched: dict[str, list[str]] = {}
    for pattern in dict.fromkeys(pattern for module in modules for pattern in _wider(module)):
        rule = Rule(match=pattern, skip=True)
        matched[pattern] = [module for module in modules if rule.matches(module)]
    return sorted(matched.items(), key=lambda item: -len(item[1]))


def _wider(module: str) -> Iterator[str]:
    """Patterns for a module: a whole layer, the same matrix of all layers, and the module alone."""
    words = module.split(".")
    numbers = [i for i, word in enumerate(words) if word.isdigit()]
    yield f"*.{'.'.join(words[-2:-1])}.*"
    for i in numbers:
        yield ".".join([*words[: i + 1], "*"])
        yield ".".join([*words[:i], "*", *words[i + 1 :]])
    yield f"*.{'.'.join(words[-2:])}"
    yield ".".join([*words[:-1], "*"])
    yield module


def _rule(pattern: str, how: Setting, default: Quantization) -> Rule:
    if how is None:
        return Rule(match=pattern, skip=True)
    keys = ("bits", "group_size", "search")
    own = {key: getattr(how, key) for key in keys if getattr(how, key) != getattr(default, key)}
    return Rule(match=pattern, **own)


def _with_effect(
    default: Quantization, rules: Sequence[Rule], found: Mapping[str, Setting], shapes: Shapes
) -> tuple[Rule, ...]:
    """The rules without which a module would get another setting."""
    section = Quantize(**asdict(default), rules=tuple(rules))
    decided = {module: section.rule_number(module) for module in found}
    for number in reversed(range(len(rules))):  # which modules a rule decides does not depend on later ones
        own = [module for module in found if decided[module] == number]
        shorter = section.without(number)
        if all(_given(shorter.for_module(module), shapes[module]) == found[module] for module in own):
            section = shorter
    return section.rules

"""What kind of module a tensor belongs to, by its canonical name: how sizes and errors are summed up."""

from collections.abc import Callable, Iterable
from typing import TypeVar

PARTS = {"encoder": "encoder", "adapter": "adapter", "language_model": "decoder"}
Thing = TypeVar("Thing")


def kind_of(name: str) -> str:
    """`embedding`, `adapter`, or a part and its layer's role: `encoder attention`, `decoder norm`.

    The first word of the path where it is none that the model has.
    """
    words = name.split(".")
    if "embed_tokens" in words:
        return "embedding"
    part = PARTS.get(words[0])
    if part in (None, "adapter"):
        return part or words[0]
    return f"{part} {_role(words)}"


def _role(words: list[str]) -> str:
    for word in words:
        if word in ("attention", "mlp", "ada_norm"):
            return word
        if word.startswith("conv"):
            return "conv"
    return "norm"


def by_kind(things: Iterable[Thing], name: Callable[[Thing], str]) -> dict[str, list[Thing]]:
    """Kind -> the things of that kind, both in the order in which they come."""
    kinds: dict[str, list[Thing]] = {}
    for thing in things:
        kinds.setdefault(kind_of(name(thing)), []).append(thing)
    return kinds

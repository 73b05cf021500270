"""Groups tensors by kind of module, to sum up their sizes and errors."""

from collections.abc import Callable, Iterable
from typing import TypeVar

PARTS = {"encoder": "encoder", "adapter": "adapter", "language_model": "decoder"}
Thing = TypeVar("Thing")


def kind_of(name: str) -> str:
    """`embedding`, `adapter`, or a part and its layer's role: `encoder attention`, `decoder norm`.

    For an unknown name, its first word.
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
    """Kind -> the things of that kind, in the given order."""
    kinds: dict[str, list[Thing]] = {}
    for thing in things:
        kinds.setdefault(kind_of(name(thing)), []).append(thing)
    return kinds

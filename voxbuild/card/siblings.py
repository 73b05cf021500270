"""The record of a source's published variants: what a card's table and plot show beside its own artifact.

It lies in the repository, so a card follows from the repository and its artifact alone, and not from what
else happens to be built or published when it is written. `doit siblings` makes it anew.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pydantic

from voxbuild.artifact.variant import Variant
from voxbuild.errors import RecipeError
from voxbuild.files import write_json
from voxbuild.recipes.origins.hub import Sha256
from voxbuild.recipes.schema import Strict

from .subject import Subject

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Sibling(Strict):
    """A variant: an artifact, or its view for the loader named by `dialect`."""

    recipe: str
    dialect: str | None = None
    repo: str
    tag: str | None = None
    """None and no digest: not published, but what a card is about."""
    digest: Sha256 | None = None
    """The manifest's sha256."""
    bytes: Annotated[int, pydantic.Field(gt=0)]
    """Size of the weights."""
    bits_per_weight: Positive
    wer: Rate
    """Word error rate in per cent, over all clips."""
    worst_wer: Rate
    """The same in the worst clip set."""


Record = tuple[Sibling, ...]
_RECORD: pydantic.TypeAdapter[Record] = pydantic.TypeAdapter(Record)


def read_record(path: Path) -> Record:
    """The variants on record, largest first; none if there is no record. Raises RecipeError."""
    try:
        return _RECORD.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, pydantic.ValidationError) as error:
        said = "; ".join(str(error).splitlines()[:3])
        raise RecipeError(
            f"{path}: no record of siblings ({said}); delete it, and `doit siblings` makes it anew"
        ) from error


def write_record(path: Path, siblings: Iterable[Sibling]) -> None:
    """Write them, largest first."""
    write_json(path, [sibling.model_dump() for sibling in sorted(siblings, key=_order)])


def family(record: Record, subject: Subject) -> Record:
    """What a card shows, largest first: the others that the same loader reads, and its own subject.

    Nothing if there are no others.
    """
    beside = others(record, subject.variant)
    return tuple(sorted([*beside, sibling_of(subject)], key=_order)) if beside else ()


def others(record: Record, variant: Variant) -> Record:
    """The other variants on record that the same loader reads."""
    return tuple(s for s in record if s.dialect == variant.dialect and s.recipe != variant.recipe.name)


def sibling_of(subject: Subject) -> Sibling:
    """The subject of a card, by its own manifest and validation."""
    variant = subject.variant
    return Sibling(
        recipe=variant.recipe.name,
        dialect=variant.dialect,
        repo=variant.repo,
        bytes=subject.manifest.weight_bytes,
        bits_per_weight=subject.manifest.bits_per_weight,
        wer=subject.validation["total"]["wer"],
        worst_wer=max(rates["wer"] for rates in subject.validation["sets"].values()),
    )


def _order(sibling: Sibling) -> tuple[int, str, str]:
    return -sibling.bytes, sibling.recipe, sibling.dialect or ""

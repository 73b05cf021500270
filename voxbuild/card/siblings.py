"""The record of a source's published variants, which a card's table and plot show beside its own.

It is in the repository, so a card does not depend on what else is built or published when it is written.
`doit siblings` updates it.
"""

from collections.abc import Iterable, Mapping
from math import nan
from pathlib import Path
from typing import Annotated, Any

import pydantic

from voxbuild.artifact.variant import Variant
from voxbuild.errors import RecipeError
from voxbuild.files import write_json
from voxbuild.recipes.origins.hub import Sha256
from voxbuild.recipes.schema import Strict
from voxbuild.statistics.estimate import Estimate

from .subject import Subject

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Interval = tuple[Rate, Rate]


class Sibling(Strict):
    """A variant: an artifact, or its view for the loader named by `dialect`."""

    recipe: str
    dialect: str | None = None
    repo: str
    tag: str | None = None
    """None, like the digest, for the card's own artifact, which is not published yet."""
    digest: Sha256 | None = None
    """sha256 of the manifest."""
    bytes: Annotated[int, pydantic.Field(gt=0)]
    """Size of the weights."""
    bits_per_weight: Positive
    wer: Rate
    """Word error rate in per cent, over all clips."""
    worst_wer: Rate
    """The same in the worst clip set."""
    kl_mean: Rate | None = None
    """KL from the unquantized weights, in nats; None in a record of before it was kept, like intervals."""
    wer_interval: Interval | None = None
    """95 %."""
    kl_interval: Interval | None = None

    @property
    def wer_estimate(self) -> Estimate:
        """The WER with its interval."""
        return Estimate(self.wer, *(self.wer_interval or (nan, nan)))

    @property
    def kl_estimate(self) -> Estimate:
        """The KL with its interval; it must be on record."""
        return Estimate(self.kl_mean or 0.0, *(self.kl_interval or (nan, nan)))


Record = tuple[Sibling, ...]
_RECORD: pydantic.TypeAdapter[Record] = pydantic.TypeAdapter(Record)


def read_record(path: Path) -> Record:
    """The variants on record, largest first; none if there is no record. Raises RecipeError."""
    try:
        return _RECORD.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, pydantic.ValidationError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise RecipeError(
            f"{path}: cannot read the record of siblings ({reason}); delete it and run `doit siblings`"
        ) from error


def write_record(path: Path, siblings: Iterable[Sibling]) -> None:
    """Write them, largest first."""
    write_json(path, [sibling.model_dump() for sibling in sorted(siblings, key=_order)])


def family(record: Record, subject: Subject) -> Record:
    """The variants that a card shows, largest first: the others and, if there are any, its own."""
    published = others(record, subject.variant)
    return tuple(sorted([*published, sibling_of(subject)], key=_order)) if published else ()


def others(record: Record, variant: Variant) -> Record:
    """The other variants on record for the same loader."""
    return tuple(s for s in record if s.dialect == variant.dialect and s.recipe != variant.recipe.name)


def sibling_of(subject: Subject) -> Sibling:
    """The card's own variant, from its manifest and validation."""
    variant = subject.variant
    return Sibling(
        recipe=variant.recipe.name,
        dialect=variant.dialect,
        repo=variant.repo,
        bytes=subject.manifest.weight_bytes,
        bits_per_weight=subject.manifest.bits_per_weight,
        **heard_of(subject.validation),
    )


def heard_of(validation: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a Sibling in the content of validation.json, with intervals if they are there."""
    wer, kl = Estimate.of(validation["total"]["wer"]), Estimate.of(validation["fidelity"]["kl_mean"])
    return {
        "wer": wer.value,
        "worst_wer": max(Estimate.of(rates["wer"]).value for rates in validation["sets"].values()),
        "kl_mean": kl.value,
        "wer_interval": wer.interval,
        "kl_interval": kl.interval,
    }


def _order(sibling: Sibling) -> tuple[int, str, str]:
    return -sibling.bytes, sibling.recipe, sibling.dialect or ""

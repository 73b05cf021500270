"""Other variants whose weights are written in the read of a source that one needs anyway.

Only into their unfinished folders: their own turn finds the shards there and moves them into place.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from voxbuild.artifact.lock import LOCK, differences, read_lock
from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.folders import Journal, begun_folder
from voxbuild.plan.requirements import check_room, together
from voxbuild.plan.work import is_by_layers
from voxrun.errors import VoxrunError

from .conversion import Begun, Conversion

LEFT_ALONE = (VoxbuildError, VoxrunError, OSError)
"""What planning raises: an error of one variant does not concern the others, and is told in its own turn."""


@contextmanager
def begun_with(first: Conversion, journal: Journal, variants: Iterable[Variant]) -> Iterator[list[Begun]]:
    """Conversions of those variants that can be written while `first` is, each with its folder."""
    begun: list[Begun] = [(first, journal)]
    with ExitStack() as held:
        if not is_by_layers(first.plan):
            for variant in variants:
                try:
                    _join(variant, begun, held)
                except LEFT_ALONE:
                    continue
        yield begun[1:]


def _join(variant: Variant, begun: list[Begun], held: ExitStack) -> None:
    """Begin a variant's folder, unless it is there already, waits for a calibration, or finds no room.

    Raises LEFT_ALONE.
    """
    if variant.recipe.calibrate:
        return
    other = Conversion.of(variant)
    if _order(other) != _order(begun[0][0]) or _is_written(other):
        return
    journal = Journal(variant.partial, other.identity)
    with ExitStack() as here:
        here.enter_context(begun_folder(variant.folder, journal.folder, journal))
        with variant.fetched.open_weights(variant.source) as weights:
            needed = [each.needed(its, weights.tensors) for each, its in [*begun, (other, journal)]]
        check_room(journal.folder, together(needed))
        held.push(here.pop_all())
    begun.append((other, journal))


def _order(conversion: Conversion) -> list[tuple[str, int]]:
    """In which order, and how many rows together, it reads the source."""
    return [(tensor.source, tensor.head_rows) for tensor in conversion.plan.tensors]


def _is_written(conversion: Conversion) -> bool:
    """Whether the artifact is there, made from the same. Raises VoxbuildError if it is damaged."""
    folder = conversion.variant.folder
    if not (folder / LOCK).is_file() or list(differences(read_lock(folder / LOCK), conversion.lock)):
        return False
    files = Manifest.load(folder).weight_files
    return all((folder / name).stat().st_size == entry.size for name, entry in files.items())

"""How the names in a checkpoint's files are read: a prefix that all of them have, and a dialect's names."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from voxrun.checkpoint.dialects import DIALECTS, Dialect, recognise

PREFIXES = ("base_model.model.", "model.", "module.", "_orig_mod.")
"""What wrappers put before every name: PEFT, transformers, PyTorch's DataParallel and its compiler."""
MOST_PREFIXES = 4
HEADS = frozenset(name for dialect in DIALECTS for name in dialect.ignored)
"""Names of a separate output head, which this architecture ties to the embedding (contract, sizes)."""


@dataclass(frozen=True)
class Naming:
    """The names of one checkpoint."""

    dialect: Dialect
    prefix: str = ""

    def canonical(self, name: str) -> str | None:
        """Our name of a tensor; None if it is not in the dialect."""
        return self.dialect.canonical(name.removeprefix(self.prefix))

    def is_head(self, name: str) -> bool:
        """Whether it is an output head beside the embedding."""
        return self.dialect.bare(name.removeprefix(self.prefix)) in HEADS

    def native(self, canonical: str) -> str:
        """The checkpoint's name of one of our tensors."""
        return self.prefix + self.dialect.native(canonical)

    @property
    def in_words(self) -> str:
        """For people: transformers, all names after `module.`."""
        return f"{self.dialect.name}, all names after `{self.prefix}`" if self.prefix else self.dialect.name


def naming_of(names: Iterable[str]) -> Naming:
    """The dialect and the prefix with which most names are known; without a prefix if that is as good."""
    return _naming_of(tuple(names))


@lru_cache(maxsize=8)  # `doit plan` asks several times for each recipe over the same source
def _naming_of(known: tuple[str, ...]) -> Naming:
    best = Naming(recognise(known))
    most, prefix = _known(known, best), ""
    for _ in range(MOST_PREFIXES):
        bare = [name[len(prefix) :] for name in known]
        if not (more := next((p for p in PREFIXES if bare and all(n.startswith(p) for n in bare)), None)):
            break
        prefix += more
        naming = Naming(recognise(name[len(prefix) :] for name in known), prefix)
        if (count := _known(known, naming)) > most:
            best, most = naming, count
    return best


def _known(names: Collection[str], naming: Naming) -> int:
    return sum(naming.canonical(name) is not None for name in names)


def stray_prefix(names: Iterable[str], naming: Naming) -> str | None:
    """A prefix of PREFIXES without which one of these unknown names would be known."""
    for name in names:
        bare = name.removeprefix(naming.prefix)
        for prefix in PREFIXES:
            if bare.startswith(prefix) and naming.dialect.canonical(bare.removeprefix(prefix)):
                return prefix
    return None

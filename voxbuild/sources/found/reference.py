"""What source= and adapter= on the command line name: a known source, a folder or a repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from voxbuild.errors import SourceError
from voxbuild.recipes.schema import known_names
from voxbuild.recipes.source import Source
from voxrun.messages import sentence

from .place import COMMIT, absolute, is_path, is_repo

LONGEST = 100
"""Characters of a name in a message: an adapter's file may say anything."""


@dataclass(frozen=True)
class Reference:
    """What source= or adapter= names."""

    kind: Literal["source", "folder", "hub"]
    key: str
    """The source's name, the absolute path, or OWNER/NAME."""
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether it names a commit, not a branch or a tag."""
        return COMMIT.fullmatch(self.revision or "") is not None


def refer(text: str, sources: Mapping[str, Source], what: str = "source") -> Reference:
    """A known source's name, else a folder, else a repository. Raises SourceError for anything else."""
    if text in sources:
        return Reference("source", text)
    if is_path(text):
        return Reference("folder", absolute(text))
    repo, _, revision = text.partition("@")
    if is_repo(repo):
        return Reference("hub", repo, revision or None)
    names, said = f"; {known_names(sources)}" if sources else "", sentence(text, LONGEST)
    if "://" in text:
        raise SourceError(f"{said}: name it as OWNER/NAME, without the address of the Hub")
    raise SourceError(
        f"there is no {what} {said}{names}; name a folder by its path, such as ./{said}, and a repository on"
        " the Hub as OWNER/NAME or OWNER/NAME@REVISION"
    )

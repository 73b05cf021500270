"""What source= and adapter= on the command line name: a known source, a folder or a repository."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from voxbuild.errors import SourceError
from voxbuild.recipes.schema import known_names
from voxbuild.recipes.source import Source

from .place import COMMIT, absolute, is_path, is_repo


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
    if "://" in text:
        raise SourceError(f"{text}: name it as OWNER/NAME, without the address of the Hub")
    names = f"; {known_names(sources)}" if sources else ""
    raise SourceError(
        f"there is no {what} {text}{names}; name a folder by its path, such as ./{text}, and a repository on"
        " the Hub as OWNER/NAME or OWNER/NAME@REVISION"
    )

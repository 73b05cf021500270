"""The Hugging Face Hub: a repository at one commit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pydantic

from voxbuild.errors import SourceError
from voxbuild.recipes.hub_terms import Repo as Repo
from voxbuild.recipes.schema import Strict

from .base import Origin
from .hub_errors import clear_errors
from .ranges import asked, received, size_of
from .remote import RemoteFile

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]

HUB = "https://huggingface.co"


class HubFiles(Strict, Origin):
    """`hub:` of a source."""

    repo: Repo
    revision: Commit

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> "HubFiles | None":
        """The repository in a manifest, not validated."""
        return cls.model_construct(**identity) if "repo" in identity else None

    @property
    def identity(self) -> dict[str, str]:
        """Repository and commit."""
        return {"repo": self.repo, "revision": self.revision}

    @property
    def base_model(self) -> str:
        """The repository."""
        return self.repo

    def fetch(self, base: Path, names: list[str]) -> Path:
        """Download into the Hub's cache; an interrupted download is resumed."""
        import huggingface_hub

        with self.clear_errors():
            folder = huggingface_hub.snapshot_download(
                self.repo, revision=self.revision, allow_patterns=names
            )
        return Path(folder)

    def file(self, base: Path, name: str) -> Path:
        """Download one file into the Hub's cache."""
        import huggingface_hub

        with self.clear_errors():
            return Path(huggingface_hub.hf_hub_download(self.repo, name, revision=self.revision))

    def cached(self, base: Path, name: str) -> Path | None:
        """The file, if it is in the Hub's cache."""
        import huggingface_hub

        with self.clear_errors():
            found = huggingface_hub.try_to_load_from_cache(self.repo, name, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def read(self, name: str, first: int, count: int) -> tuple[bytes, int]:
        """Request a range of bytes; no more than that is received."""
        from huggingface_hub import hf_hub_url

        with self.clear_errors():
            return _range(hf_hub_url(self.repo, name, revision=self.revision), first, count)

    def remote(self, name: str) -> RemoteFile:
        """A file that is received range by range."""
        return RemoteFile(self.repo, self.revision, name)

    def repository(self) -> dict[str, Any]:
        """The repository at its commit."""
        return {"uri": self._purl, "digest": {"gitCommit": self.revision}}

    def uri(self, name: str) -> str:
        """The file's URL at the commit."""
        return f"{HUB}/{self.repo}/resolve/{self.revision}/{name}"

    def component(self, model: str) -> dict[str, str]:
        """Owner, name, commit and package URL."""
        owner, name = self.repo.split("/")
        return {"group": owner, "name": name, "version": self.revision, "purl": self._purl}

    @property
    def _purl(self) -> str:
        return f"pkg:huggingface/{self.repo}@{self.revision}"

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Turn the Hub client's errors into SourceErrors that say what to do."""
        with clear_errors(self.repo, self.revision, ", or build from the embedded model with source=tiny"):
            yield


def _range(url: str, first: int, count: int) -> tuple[bytes, int]:
    """Bytes of a remote file, and the file's size. Raises SourceError if the server does not send ranges."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    with asked(url, build_hf_headers(), first, count) as answer:
        size = size_of(answer, first, count, "run `doit fetch` first")
        data = received(answer, count)
    if len(data) != count:
        raise SourceError(f"{url}: received {len(data):,} bytes instead of {count:,}; try again")
    return data, size

"""FLEURS on the Hub: data/LANG/SPLIT.tsv (id, file, raw text, text, ...) and data/LANG/audio/SPLIT.tar.gz."""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from voxbuild.errors import SourceError, one_line
from voxbuild.files import written_whole
from voxbuild.recipes.hub_terms import Repo
from voxbuild.recipes.schema import FileName, Strict

from .base import Clip, Corpus
from .folder import present, read_table
from .hub import HUB, Commit


class FleursFiles(Strict, Corpus):
    """`fleurs:` of a clip set: a split of a language, or its first `limit` clips."""

    repo: Repo
    revision: Commit
    language: FileName
    split: Literal["train", "dev", "test"] = "test"
    limit: Annotated[int, pydantic.Field(gt=0)] | None = None

    @property
    def recordings(self) -> tuple[str, ...]:
        """Repository, language and split: splits share no recordings."""
        return self.repo, self.language, self.split

    def clips(self, name: str, base: Path) -> list[Clip]:
        """Download the table and the archive into the Hub's cache, and unpack the listed recordings."""
        table = self._download(f"data/{self.language}/{self.split}.tsv")
        archive = self._download(f"data/{self.language}/audio/{self.split}.tar.gz")
        rows = read_table(table, 7)[: self.limit]
        folder = _unpacked(archive, {row[1] for row in rows})
        return [Clip(f"fleurs/{self.language}/{row[1]}", present(folder, row[1]), row[3]) for row in rows]

    @property
    def url(self) -> str:
        """The dataset's page."""
        return f"{HUB}/datasets/{self.repo}"

    def pinned(self) -> dict[str, Any]:
        """The dataset at its commit."""
        return {"uri": f"{self.url}/tree/{self.revision}", "digest": {"gitCommit": self.revision}}

    def dataset(self) -> dict[str, Any]:
        """Dataset, language, split and commit."""
        return {
            "dataset_type": self.repo,
            "dataset_config": self.language,
            "dataset_split": self.split,
            "dataset_revision": self.revision,
        }

    def _download(self, name: str) -> Path:
        import huggingface_hub
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

        try:
            path = huggingface_hub.hf_hub_download(
                self.repo, name, repo_type="dataset", revision=self.revision
            )
        except (HTTPError, OSError, ValueError) as error:
            raise SourceError(f"{self.repo}: {name} cannot be downloaded ({one_line(error)})") from error
        return Path(path)


def _unpacked(archive: Path, wanted: set[str]) -> Path:
    """A flat folder beside the archive with the wanted recordings. Raises SourceError."""
    folder = archive.with_name(archive.name.partition(".")[0] + ".clips")
    folder.mkdir(exist_ok=True)
    missing = {name for name in wanted if not (folder / name).is_file()}
    if missing:
        try:
            _unpack(archive, missing, folder)
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise SourceError(f"{archive}: a damaged archive ({error}); delete it and try again") from error
    return folder


def _unpack(archive: Path, wanted: set[str], folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            data = tar.extractfile(member) if name in wanted else None
            if data is not None:
                with written_whole(folder / name) as partial:
                    partial.write_bytes(data.read())

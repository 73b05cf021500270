"""FLEURS on the Hub: data/LANG/SPLIT.tsv (id, file, raw text, text, ...) and data/LANG/audio/SPLIT.tar.gz."""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any, Literal

from voxbuild.errors import SourceError
from voxbuild.recipes.schema import FileName

from .base import Clip
from .dataset import HubDataset, Limit, check_whole, whole_files, written
from .folder import present, read_table


class FleursFiles(HubDataset):
    """`fleurs:` of a clip set: a split of a language, or its first `limit` clips.

    FLEURS does not say who speaks. Each sentence is read by up to three people, so the clips of a sentence
    are what depends on each other: a clip's `speaker` is its sentence.
    """

    language: FileName
    split: Literal["train", "dev", "test"] = "test"
    limit: Limit | None = None

    @property
    def recordings(self) -> tuple[str, ...]:
        """Repository, language and split: splits share no recordings."""
        return self.repo, self.language, self.split

    def clips(self, name: str, base: Path) -> list[Clip]:
        """Download the table and the archive into the Hub's cache, and unpack the listed recordings."""
        table = self.download(f"data/{self.language}/{self.split}.tsv")
        archive = self.download(f"data/{self.language}/audio/{self.split}.tar.gz")
        rows = read_table(table, 7)[: self.limit]
        folder = _unpacked(archive, {row[1] for row in rows})
        return [
            Clip(f"fleurs/{self.language}/{row[1]}", present(folder, row[1]), row[3], f"sentence {row[0]}")
            for row in rows
        ]

    def dataset(self) -> dict[str, Any]:
        """Dataset, language, split and commit."""
        return {
            "dataset_type": self.repo,
            "dataset_config": self.language,
            "dataset_split": self.split,
            "dataset_revision": self.revision,
        }


def _unpacked(archive: Path, wanted: set[str]) -> Path:
    """A flat folder beside the archive with the wanted recordings. Raises SourceError."""
    folder = archive.with_name(archive.name.partition(".")[0] + ".clips")
    if missing := wanted - {path.name for path in whole_files(folder)}:
        check_whole(archive)
        try:
            _unpack(archive, missing, folder)
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise SourceError(f"{archive}: a damaged archive ({error}); delete it and try again") from error
    return folder


def _unpack(archive: Path, missing: set[str], folder: Path) -> None:
    """Read the archive once, in order, up to the last recording that is missing."""
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            data = tar.extractfile(member) if name in missing and member.isfile() else None
            if data is not None:
                with written(folder / name) as partial, partial.open("wb") as file:
                    shutil.copyfileobj(data, file)
                missing.discard(name)
            if not missing:
                return

"""Any data set of recordings on the Hub that is stored as parquet, by the names of its columns."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import pydantic

from voxbuild.errors import SourceError
from voxbuild.recipes.schema import FilePath

from .base import Clip, Corpus
from .dataset import HubDataset, Limit, literal_part
from .parquet_file import ParquetFile, Row

Text = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
LONGEST_ID = 100
"""Characters of a recording's id in its clip's name."""


class ParquetFiles(HubDataset):
    """`parquet:` of a clip set: the rows of a data set's files, or the first `limit` of them."""

    data_files: FilePath | Annotated[tuple[FilePath, ...], pydantic.Field(min_length=1)]
    """Names or patterns, as in the data set's card."""
    audio: Text = "audio"
    text: Text = "text"
    speaker: Text | None = None
    id: Text | None = None
    limit: Limit | None = None
    without_text: Literal["refuse", "skip"] = "refuse"
    """What happens with a row that has no words."""
    config: Text = "default"
    """Its name for this part of the data set, for model cards."""
    split: Text | None = None
    """Likewise."""

    @property
    def recordings(self) -> tuple[str, ...]:
        """Repository and patterns."""
        return self.repo, *self._patterns

    def may_share(self, other: Corpus) -> bool:
        """Unless it is of another repository, or its patterns begin differently.

        Parquet may repeat what the same repository has in another form.
        """
        if not isinstance(other, HubDataset) or other.repo != self.repo:
            return False
        if not isinstance(other, ParquetFiles):
            return True
        mine, theirs = (list(map(literal_part, each._patterns)) for each in (self, other))
        return any(one.startswith(two) or two.startswith(one) for one in mine for two in theirs)

    def clips(self, name: str, base: Path) -> list[Clip]:
        """A clip for each row. Files are downloaded one after the other, until there are `limit` clips."""
        return self._clips(name, self.text)

    def unlabelled(self, name: str, base: Path) -> list[Clip]:
        """The same; a column of texts is not needed."""
        return self._clips(name, None)

    def dataset(self) -> dict[str, Any]:
        """Dataset, configuration, split and commit."""
        return {
            "dataset_type": self.repo,
            "dataset_config": self.config,
            **({"dataset_split": self.split} if self.split else {}),
            "dataset_revision": self.revision,
        }

    @property
    def _patterns(self) -> tuple[str, ...]:
        return (self.data_files,) if isinstance(self.data_files, str) else self.data_files

    def _names(self) -> list[str]:
        """The data set's files that match, each once."""
        return list(dict.fromkeys(name for pattern in self._patterns for name in self.matching(pattern)))

    def _clips(self, name: str, text: str | None) -> list[Clip]:
        clips: list[Clip] = []
        taken: dict[str, int] = {}
        for file in self._names():
            open_places = None if self.limit is None else self.limit - len(clips)
            if open_places == 0:
                break
            with ParquetFile(self.download(file)) as table:
                rows = list(islice(self._rows(table, text), open_places))
                paths = table.recordings(self.audio, [row.number for row in rows])
            for row, path in zip(rows, paths, strict=True):
                clip = f"{name}/{_unique(_name(file, row), taken)}"
                clips.append(Clip(clip, path, row.text, row.speaker))
        return clips

    def _rows(self, table: ParquetFile, text: str | None) -> Iterator[Row]:
        for row in table.rows(text, self.speaker, self.id):
            if text is None or any(map(str.isalnum, row.text)):
                yield row
            elif self.without_text == "refuse":
                raise SourceError(
                    f"{table.path}: row {row.number} has no words in the column {text};"
                    " `without_text: skip` in the clip set leaves such rows out"
                )


def _name(file: str, row: Row) -> str:
    """The row's id as a plain name; without one, the file's name and the row's number."""
    plain = re.sub(r"[^\w.+-]+", "_", row.id or "")[:LONGEST_ID].strip("._")
    return plain or f"{PurePosixPath(file).stem}-{row.number}"


def _unique(name: str, taken: dict[str, int]) -> str:
    """The name, or NAME~2, NAME~3 for others of the same name; the first rows keep theirs with any limit."""
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name}~{taken[name]}"

"""One parquet file of recordings, read as a stream: a few columns, and of the recordings one at a time."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from voxbuild.errors import SourceError, one_line
from voxrun.messages import shown

from .dataset import check_whole, whole_files, written

BUFFER = 2**16
"""Bytes that are read at once of a column; without a buffer it is read whole for a group of rows."""
ROWS = 4096
"""Rows of texts that are read at once."""
MISSING = "reading parquet needs pyarrow, not installed here: pip install pyarrow"


@dataclass(frozen=True)
class Row:
    """What is known of a recording without reading it."""

    number: int
    text: str
    speaker: str | None
    id: str | None


class ParquetFile:
    """A file in the Hub's cache, open. Its methods raise SourceError."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise SourceError(MISSING) from error
        self.path = path
        with self._readable():
            self._file = pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def rows(self, text: str | None, speaker: str | None, id: str | None) -> Iterator[Row]:
        """All rows in order, with the values of the columns that have a name."""
        if text:
            self._check(text, "text", _is_text)
        for column in (speaker, id):
            if column:
                self._check(column, "text or whole numbers", _is_text_or_number)
        columns = list({column for column in (text, speaker, id) if column})
        if not columns:
            yield from (Row(number, "", None, None) for number in range(self._file.metadata.num_rows))
            return
        number = 0
        with self._readable():
            for batch in self._file.iter_batches(ROWS, columns=columns, use_threads=False):
                for values in batch.to_pylist():
                    said, who, name = (values[c] if c else None for c in (text, speaker, id))
                    yield Row(number, said or "", _text(who), _text(name))
                    number += 1
        if number != self._file.metadata.num_rows:
            raise self._damaged(f"row {number} is missing")

    def recordings(self, column: str, numbers: Sequence[int]) -> list[Path]:
        """The files with the recordings of these rows, in a folder beside this one.

        Those that are not there yet are written, each whole or not at all.
        """
        self._check(column, "recordings (bytes, or a struct with `bytes`)", _is_audio)
        index = self._file.schema_arrow.get_field_index(column)
        folder = self.path.with_name(f"{self.path.name}.{index}.clips")
        there = {int(path.stem): path for path in whole_files(folder) if re.fullmatch("[0-9]+", path.stem)}
        if missing := sorted(set(numbers) - there.keys()):
            check_whole(self.path)
            for number, data, name in self._audio(column, missing):
                path = folder / f"{number:06}{_ending(name)}"
                with written(path) as partial:
                    partial.write_bytes(data)
                there[number] = path
        return [there[number] for number in numbers]

    def _audio(self, column: str, numbers: Sequence[int]) -> Iterator[tuple[int, Any, str]]:
        """Number, bytes and name of these rows' recordings; `numbers` are sorted."""
        metadata = self._file.metadata
        end = 0
        for group in range(metadata.num_row_groups):
            start, end = end, end + metadata.row_group(group).num_rows
            if here := numbers[bisect_left(numbers, start) : bisect_left(numbers, end)]:
                yield from self._audio_of_group(group, start, column, here)

    def _audio_of_group(
        self, group: int, start: int, column: str, numbers: Sequence[int]
    ) -> Iterator[tuple[int, Any, str]]:
        """The same of one group of rows, of which the first has the number `start`."""
        wanted = set(numbers)
        with self._readable():
            batches = self._file.iter_batches(1, [group], [column], use_threads=False)
            for number, batch in enumerate(islice(batches, numbers[-1] + 1 - start), start):
                if number in wanted:
                    wanted.discard(number)
                    yield number, *self._recording(number, column, batch.column(0)[0])
        if wanted:
            raise self._damaged(f"row {min(wanted)} is missing")

    def _recording(self, row: int, column: str, value: Any) -> tuple[Any, str]:
        """The bytes of a recording, and the name of the file that it was."""
        import pyarrow

        data, name = value, None
        if value.is_valid and pyarrow.types.is_struct(value.type):
            data, name = value["bytes"], value["path"].as_py() if "path" in value.type.names else None
        if not data.is_valid or not len(data.as_buffer()):
            path = f", only the path {shown(name)}" if name else ""
            raise SourceError(f"{self.path}: row {row} has no recording in the column {column}{path}")
        return data.as_buffer(), str(name or "")

    def _check(self, column: str, content: str, is_right: Any) -> None:
        """Raise SourceError unless there is one column of this name and type."""
        schema = self._file.schema_arrow
        if column not in schema.names:
            there = ", ".join(map(shown, schema.names))
            raise SourceError(f"{self.path}: there is no column {column}; there are {there}")
        if not is_right(schema.field(column).type):
            kind = one_line(ValueError(schema.field(column).type))
            raise SourceError(f"{self.path}: the column {column} does not hold {content}, but {kind}")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            raise self._damaged(one_line(error)) from error

    def _damaged(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.path}: not a parquet file, or a damaged one ({reason}); delete it and try again"
        )


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    return ending if re.fullmatch(r"\.[a-z0-9]{1,8}", ending) else ""


def _text(value: Any) -> str | None:
    return None if value is None else str(value) or None


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    inner = kind.value_type if types.is_dictionary(kind) else kind
    return any(is_one(inner) for is_one in (types.is_string, types.is_large_string, types.is_string_view))


def _is_text_or_number(kind: Any) -> bool:
    from pyarrow import types

    return _is_text(kind) or types.is_integer(kind)


def _is_audio(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return "bytes" in kind.names and _is_audio(kind.field("bytes").type)
    return any(is_one(kind) for is_one in (types.is_binary, types.is_large_binary, types.is_binary_view))

"""Local folders: a source's files, or recordings with a transcripts.tsv."""

import csv
import os
from io import StringIO
from pathlib import Path

import pydantic

from voxbuild.errors import SourceError
from voxrun.errors import AudioError
from voxrun.files.paths import is_file, is_plain, read_bytes
from voxrun.messages import sentence, shown

from .base import Clip, Corpus, Origin

TRANSCRIPTS = "transcripts.tsv"
MAX_TABLE = 64 * 2**20
"""Limit of a table of transcripts in bytes; the largest of FLEURS has about 2 MB."""


class LocalFolder(pydantic.RootModel[str], Origin, frozen=True):
    """`path:` of a source."""

    def folder(self, base: Path) -> Path:
        """The folder itself."""
        return (base / self.root).resolve()

    def fetch(self, base: Path, names: list[str]) -> Path:
        """The folder itself."""
        return self.folder(base)

    def file(self, base: Path, name: str) -> Path:
        """The path of a file in it."""
        return self.folder(base) / name

    def cached(self, base: Path, name: str) -> Path:
        """The path of a file in it, whether it exists or not."""
        return self.folder(base) / name

    def read(self, name: str, first: int, count: int) -> tuple[bytes, int]:
        """Raises SourceError: the file would be local."""
        raise SourceError(f"{self.root}: {name} is missing")


class ClipFolder(pydantic.RootModel[str], Corpus, frozen=True):
    """`folder:` of a clip set: transcripts.tsv has a line for each recording: file, text, speaker if known.

    Without it the folder's recordings can calibrate, but not validate.
    """

    @property
    def recordings(self) -> tuple[str, ...]:
        """Its path."""
        return (self.root,)

    def clips(self, name: str, base: Path) -> list[Clip]:
        """A clip for each line of transcripts.tsv.

        Raises SourceError, also for two of one name, and for one in a folder below, which `files` leaves out.
        """
        folder = (base / self.root).resolve()
        if self._is_unlabelled(base) and (found := recordings_in(folder)):
            raise SourceError(
                f"{folder}: its {len(found)} recordings have no {TRANSCRIPTS}, so they can calibrate, but not"
                " validate; a line of it is a recording's file, a tab, its text"
            )
        clips: dict[str, Clip] = {}
        for file, text, *more in read_table(folder / TRANSCRIPTS, 2):
            speaker = (more[0].strip() if more else "") or None
            clip = Clip(f"{name}/{Path(file).stem}", present(folder, file), text, speaker)
            if clip.path.parent != folder:
                raise SourceError(
                    f"{folder / file}: put the recording beside {TRANSCRIPTS}, not in a folder below"
                )
            if other := clips.get(clip.name):
                both = f"{shown(other.path.name)} and {shown(file)}"
                raise SourceError(f"{folder / TRANSCRIPTS}: {both} are both called {clip.name}; rename one")
            clips[clip.name] = clip
        return list(clips.values())

    def unlabelled(self, name: str, base: Path) -> list[Clip]:
        """The same clips; without transcripts all recordings of the folder, in the order of their names."""
        if not self._is_unlabelled(base):
            return self.clips(name, base)
        folder = (base / self.root).resolve()
        if not (found := recordings_in(folder)):
            raise SourceError(
                f"{folder}: no recordings are there; give their place by `folder:` of the clip set {name}"
            )
        return [Clip(f"{name}/{path.name}", path, "") for path in found]

    def _is_unlabelled(self, base: Path) -> bool:
        return not os.path.lexists(base / self.root / TRANSCRIPTS)  # a broken link is an error, said later

    def files(self, base: Path) -> list[Path]:
        """The transcripts and what they list, or without them all recordings.

        Other files of a folder are not read, and not in provenance.
        """
        folder = base / self.root
        if self._is_unlabelled(base):
            return recordings_in(folder)
        try:
            listed = {row[0] for row in read_table(folder / TRANSCRIPTS, 2)}
        except SourceError:  # the stage that reads them says it
            listed = set()
        return sorted(p for p in folder.glob("*") if p.name in {TRANSCRIPTS, *listed} and p.is_file())


def recordings_in(folder: Path) -> list[Path]:
    """The files of a folder that voxrun recognises as sound by their content, in the order of their names."""
    return sorted(p for p in folder.glob("*") if not p.name.startswith(".") and _is_recording(p))


def _is_recording(path: Path) -> bool:
    from voxrun.audio.decode.bytestream import ByteStream
    from voxrun.audio.decode.formats import recognise

    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            recognise(ByteStream(file, path.name), guess_raw=False)
    except (OSError, AudioError):
        return False
    return True


def read_table(path: Path, least: int) -> list[list[str]]:
    """The rows of a table of transcripts with at least `least` columns. Raises SourceError."""
    try:
        text = read_bytes(path, MAX_TABLE).decode("utf-8-sig")
        rows = list(csv.reader(StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    except FileNotFoundError as error:
        raise SourceError(
            f"{path}: the transcripts cannot be read, as there is no such file; put it back, or give the"
            " recordings' new place: clips=FOLDER, or `folder:` of the clip set"
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"{path}: the transcripts cannot be read ({sentence(error)})") from error
    for number, row in enumerate(rows, 1):
        if row and len(row) < least:
            raise SourceError(
                f"{path}:{number}: {len(row)} columns instead of {least}; columns are separated by tabs"
            )
    return [row for row in rows if row]


def present(folder: Path, name: str) -> Path:
    """The path of a listed recording. Raises SourceError if it is missing or outside of the folder."""
    path = folder / name
    if not is_plain(name):
        raise SourceError(
            f"{folder}: the transcripts list {shown(name)}, which is not the name of a recording"
            " in this folder"
        )
    if not path.is_file():
        raise SourceError(
            f"{path}: the recording is missing, though the transcripts list it (they have no header)"
        )
    return path

"""Recordings with transcripts, from the repository or from a corpus on the Hub."""

import csv
import gzip
import tarfile
import zlib
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from voxbuild.errors import SourceError, one_line
from voxbuild.recipes.source import ClipSet, FleursFiles
from voxrun.files.paths import is_plain, read_bytes
from voxrun.messages import sentence, shown

from .transcripts import normalise

TRANSCRIPTS = "transcripts.tsv"
MAX_TABLE = 64 * 2**20
"""Bytes of a table of transcripts; the largest of FLEURS has some 2 MB."""


@dataclass(frozen=True)
class Clip:
    """One recording and what is said in it."""

    name: str
    path: Path
    text: str


def read_clips(clips: ClipSet, base: Path) -> list[Clip]:
    """The clips of a set; `base` is the folder that its own is relative to. Raises SourceError."""
    members = _fleurs(clips.fleurs) if clips.fleurs else _local(clips, base)
    if not members:
        raise SourceError(f"the clip set {clips.name} has no clips")
    for clip in members:
        if not normalise(clip.text):
            raise SourceError(f"{clip.name}: nothing is said in its transcript {shown(clip.text)}")
    return members


def clip_files(clips: ClipSet, base: Path) -> list[Path]:
    """The files of a set that may change under our hands; a corpus at a pinned revision has none."""
    if clips.folder is None:
        return []
    return sorted(path for path in (base / clips.folder).glob("*") if path.is_file())


def _local(clips: ClipSet, base: Path) -> list[Clip]:
    folder = (base / str(clips.folder)).resolve()
    return [
        Clip(f"{clips.name}/{Path(file).stem}", _present(folder, file), text)
        for file, text, *_ in _rows(folder / TRANSCRIPTS, 2)
    ]


def _fleurs(files: FleursFiles) -> list[Clip]:
    """FLEURS keeps data/LANG/SPLIT.tsv (id, file, raw text, text, ...) and data/LANG/audio/SPLIT.tar.gz."""
    table = _download(files, f"data/{files.language}/{files.split}.tsv")
    archive = _download(files, f"data/{files.language}/audio/{files.split}.tar.gz")
    rows = _rows(table, 7)[: files.limit]
    folder = _unpacked(archive, {row[1] for row in rows})
    return [Clip(f"fleurs/{files.language}/{row[1]}", _present(folder, row[1]), row[3]) for row in rows]


def _download(files: FleursFiles, name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        path = huggingface_hub.hf_hub_download(files.repo, name, repo_type="dataset", revision=files.revision)
    except (HTTPError, OSError, ValueError) as error:
        raise SourceError(f"{files.repo}: {name} cannot be fetched ({one_line(error)})") from error
    return Path(path)


def _unpacked(archive: Path, wanted: set[str]) -> Path:
    """The wanted recordings of an archive, flat, in a folder beside it."""
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
                partial = folder / f".{name}.partial"
                partial.write_bytes(data.read())
                partial.rename(folder / name)


def _rows(path: Path, least: int) -> list[list[str]]:
    try:
        text = read_bytes(path, MAX_TABLE).decode("utf-8")
        rows = list(csv.reader(StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"{path}: the transcripts cannot be read ({sentence(error)})") from error
    for number, row in enumerate(rows, 1):
        if len(row) < least:
            raise SourceError(f"{path}:{number}: {len(row)} columns instead of {least}")
    return rows


def _present(folder: Path, name: str) -> Path:
    path = folder / name
    if not is_plain(name):
        raise SourceError(f"{folder}: the transcripts list {shown(name)}, which is no name of a recording")
    if not path.is_file():
        raise SourceError(f"{path}: the recording is missing, though the transcripts list it")
    return path

"""Recordings with what the unquantized model itself hears in them; no transcript is needed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from voxbuild.errors import ConvertError, FormatError
from voxbuild.files import read_json, write_json
from voxrun.stream.at_once import sessions_at_once
from voxrun.stream.results import Transcript
from voxrun.transcriber import Transcriber


@dataclass(frozen=True)
class Recording:
    """A recording, and the tokens that a model wrote for it."""

    path: Path
    tokens: tuple[int, ...]
    """One for each position after the prompt, control tokens included."""
    text: str = ""
    seconds: float = 0.0


def transcripts(model: Path, paths: Sequence[Path]) -> Iterator[Transcript]:
    """Transcribe recordings with the model in a folder, several at once: transcripts in their order.

    Raises AudioError for the first recording that cannot be read.
    """
    transcriber = Transcriber.open(model)
    pool = ThreadPoolExecutor(sessions_at_once(transcriber.model), "voxbuild-listen")
    try:
        yield from pool.map(transcriber.transcribe, paths)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for what is being heard


def own_tokens(model: Path, paths: Sequence[Path], done: Callable[[], None]) -> list[Recording]:
    """The recordings with the tokens that the model in a folder writes for them; `done` is called for each.

    Raises AudioError.
    """
    recordings = []
    for path, heard in zip(paths, transcripts(model, paths), strict=True):
        recordings.append(Recording(path, tuple(heard.tokens), heard.text, heard.seconds))
        done()
    return recordings


def refuse_silence(model: Path, recordings: Sequence[Recording]) -> None:
    """Raises ConvertError if the model in a folder heard no word in any of the recordings."""
    if not any(recording.text.strip() for recording in recordings):
        raise ConvertError(
            f"{model}: the unquantized source hears no word in the recordings that calibrate; give recordings"
            " of speech in a language that it knows"
        )


def save_recordings(path: Path, recordings: Sequence[Recording]) -> None:
    """Write the recordings' names and what was heard in them."""
    write_json(path, [asdict(each) | {"path": each.path.name} for each in recordings])


def load_recordings(path: Path, paths: Sequence[Path]) -> list[Recording]:
    """Read the file of `save_recordings`; `paths` are those of the same recordings. Raises FormatError."""
    stored = read_json(path)
    if [entry["path"] for entry in stored] != [each.name for each in paths]:
        raise FormatError(f"{path}: it is about other recordings; calibrate again")
    return [
        Recording(each, tuple(entry["tokens"]), entry["text"], entry["seconds"])
        for each, entry in zip(paths, stored, strict=True)
    ]

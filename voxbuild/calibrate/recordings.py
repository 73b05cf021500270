"""Recordings with what the unquantized model itself hears in them; no transcript is needed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxbuild.errors import ConvertError, FormatError
from voxbuild.files import read_json, read_state, stamp, write_json
from voxrun import __version__
from voxrun.checkpoint.layout import Layout
from voxrun.device import device_name
from voxrun.files.hashes import sha256_of
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


def transcripts(
    model: Path, paths: Sequence[Path], done: Callable[[Transcript], object] = lambda heard: None
) -> list[Transcript]:
    """Transcribe recordings with the model in a folder, several at once: transcripts in their order.

    `done` is called with each, in this thread. Raises AudioError for the first that cannot be read.
    """
    transcriber = Transcriber.open(model)
    pool = ThreadPoolExecutor(sessions_at_once(transcriber.model), "voxbuild-listen")
    try:
        heard = []
        for there in pool.map(transcriber.transcribe, paths):
            heard.append(there)
            done(there)
        return heard
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for what is being heard


def own_tokens(
    model: Path, paths: Sequence[Path], done: Callable[[], None], kept: Path | None = None
) -> list[Recording]:
    """The recordings with the tokens that the model in a folder writes for them; `done` is called for each.

    What was heard is kept in the file `kept`, so that it is not heard again after an interruption.
    Raises AudioError.
    """
    memory = _Memory(kept, model)
    for path in paths:
        if memory.knows(path):
            done()
    missing = [path for path in paths if not memory.knows(path)]
    following = iter(missing)

    def add(heard: Transcript) -> None:
        memory.add(next(following), heard)
        done()

    if missing:
        transcripts(model, missing, add)
    return [memory.recording(path) for path in paths]


class _Memory:
    """What a model has heard, by the recordings' hashes; in a file, if there is one."""

    def __init__(self, file: Path | None, model: Path) -> None:
        files = {path.name: stamp(path) for path in Layout(model).weight_files}
        self._file, self._model = file, [files, __version__, device_name()]
        stored: Any = read_state(file) if file else None
        matches = isinstance(stored, dict) and stored.get("model") == self._model
        self._heard: dict[str, dict[str, Any]] = stored["heard"] if matches else {}
        self._hashes: dict[Path, str] = {}

    def knows(self, path: Path) -> bool:
        return self._hash(path) in self._heard

    def add(self, path: Path, heard: Transcript) -> None:
        entry = {"tokens": heard.tokens, "text": heard.text, "seconds": heard.seconds}
        self._heard[self._hash(path)] = entry
        if self._file:
            write_json(self._file, {"model": self._model, "heard": self._heard})

    def recording(self, path: Path) -> Recording:
        entry = self._heard[self._hash(path)]
        return Recording(path, tuple(entry["tokens"]), entry["text"], entry["seconds"])

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256_of(path)
        return self._hashes[path]


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

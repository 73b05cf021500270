"""A loaded model with its tokenizer: open it from a folder, the Hub or a registry, start sessions."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .audio import FileSource
from .config import ModelConfig
from .errors import AudioError, ConfigError, DeviceError, ModelError, VoxrunError
from .mel import FloatArray
from .model import VoxtralRealtime
from .results import Result, Transcript
from .session import Session
from .tokenizer import TOKENIZER_FILE, Tokenizer
from .weights import load_model, weight_files

FILES = ["*.safetensors", "model.safetensors.index.json", "config.json", "params.json", TOKENIZER_FILE]
COMMIT = re.compile("[0-9a-f]{40}")


class Transcriber:
    """`Transcriber.open("out/tiny/4bit").transcribe("talk.flac").text`"""

    def __init__(self, model: VoxtralRealtime, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def open(
        cls, model: str | Path, *, revision: str | None = None, registry: Path | None = None
    ) -> "Transcriber":
        """Load a folder, or a repository `owner/name` of the Hub or of a local registry.

        Raises ModelError, ConfigError, WeightsError.
        """
        folder = locate(model, revision, registry)
        loaded, tokenizer = load_model(folder), Tokenizer(folder)
        if tokenizer.size != loaded.config.vocab_size:
            raise ConfigError(
                f"{folder}: {TOKENIZER_FILE} has {tokenizer.size} tokens, the model"
                f" {loaded.config.vocab_size}; they do not belong together"
            )
        return cls(loaded, tokenizer)

    @property
    def rate(self) -> int:
        """Samples a second that sessions take."""
        return self.model.config.audio.sampling_rate

    def session(self, **options: Any) -> Session:
        """A new stream; options are those of `Session`."""
        return Session(self.model, self.tokenizer, **options)

    def transcribe(
        self,
        path: str | Path,
        progress: Callable[[float, str], None] | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribe a recording; `progress` is told of seconds heard so far and of new text.

        Raises AudioError.
        """
        source, results = FileSource(path, self.rate), []
        for result in listen(self.session(**options), source):
            if progress is not None:
                progress(source.heard, result.text)
            results.append(result)
        return Transcript.of(results, source.heard)


def listen(session: Session, source: Iterable[FloatArray]) -> Iterator[Result]:
    """What a session hears of a source: a result for each block, and one for the end.

    An empty block says that nothing comes for now: the words behind the delay are brought out.
    If the source fails, what was heard by then still comes out. Raises AudioError, DeviceError.
    """
    try:
        for block in source:
            yield session.feed(block) if len(block) else session.flush()
    except (AudioError, DeviceError):
        yield session.finish()
        raise
    yield session.finish()


def locate(model: str | Path, revision: str | None = None, registry: Path | None = None) -> Path:
    """The folder of a model; a repository is fetched once into the cache. Raises ModelError."""
    folder = Path(model)
    if registry is None and os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for too long a name
        return folder
    if str(model).count("/") != 1 or str(model).startswith((".", "/")):
        raise ModelError(f"{model}: no such folder, and no repository name like owner/name")
    import huggingface_hub
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    fetch = partial(
        huggingface_hub.snapshot_download,
        str(model),
        revision=revision,
        cache_dir=registry,
        allow_patterns=FILES,
    )
    try:
        snapshot = _kept(fetch, revision) or fetch(local_files_only=registry is not None)
    except LocalEntryNotFoundError as error:
        where = f"in the registry {registry}" if registry else "in the cache, nor can the Hub be reached"
        at = f" at {revision}" if revision else ""
        raise ModelError(f"{model}{at} is not {where}") from error
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: the Hub's answer, or none
        raise ModelError(f"{model}: {' '.join(str(error).split())}") from error
    return Path(snapshot)


def _kept(fetch: Callable[..., str], revision: str | None) -> str | None:
    """What the cache holds of a commit, if it is a whole model: commits do not change, nobody is asked."""
    if not COMMIT.fullmatch(revision or ""):
        return None
    try:
        folder = Path(fetch(local_files_only=True))
        ModelConfig.from_folder(folder)
        weight_files(folder)
    except (FileNotFoundError, VoxrunError):  # not there, or in part: a download was interrupted
        return None
    return str(folder) if (folder / TOKENIZER_FILE).is_file() else None

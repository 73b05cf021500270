"""A loaded model with its tokenizer: open it from a folder, the Hub or a registry, start sessions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .audio import FileSource
from .errors import ModelError
from .model import VoxtralRealtime
from .results import Transcript
from .session import Session
from .tokenizer import TOKENIZER_FILE, Tokenizer
from .weights import load_model

DEFAULT_MODEL = "mlx-community/Voxtral-Mini-4B-Realtime-6bit"
FILES = ["*.safetensors", "model.safetensors.index.json", "config.json", "params.json", TOKENIZER_FILE]


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
        return cls(load_model(folder), Tokenizer(folder))

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
        """Transcribe a recording; `progress` is told of seconds done and new text. Raises AudioError."""
        source = FileSource(path, self.rate)
        session = self.session(**options)
        results = []
        for block in source:
            results.append(session.feed(block))
            if progress is not None:
                progress(len(block) / self.rate, results[-1].text)
        results.append(session.finish())
        return Transcript.of(results, session.seconds)


def locate(model: str | Path, revision: str | None = None, registry: Path | None = None) -> Path:
    """The folder of a model; a repository is fetched once into the cache. Raises ModelError."""
    folder = Path(model)
    if registry is None and folder.is_dir():
        return folder
    if str(model).count("/") != 1 or str(model).startswith((".", "/")):
        raise ModelError(f"{model}: no such folder, and no repository name like owner/name")
    import huggingface_hub
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    try:
        snapshot = huggingface_hub.snapshot_download(
            str(model),
            revision=revision,
            cache_dir=registry,
            local_files_only=registry is not None,
            allow_patterns=FILES,
        )
    except LocalEntryNotFoundError as error:
        where = f"in the registry {registry}" if registry else "in the cache, nor can the Hub be reached"
        at = f" at {revision}" if revision else ""
        raise ModelError(f"{model}{at} is not {where}") from error
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: the Hub's answer, or none
        raise ModelError(f"{model}: {' '.join(str(error).split())}") from error
    return Path(snapshot)

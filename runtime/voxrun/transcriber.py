"""A loaded model with its tokenizer: open it from a folder, the Hub or a registry, start sessions."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from voxrun.audio.file import FileSource
from voxrun.checkpoint.layout import TOKENIZER_FILE
from voxrun.model.load import load_model
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.results import Result, Transcript
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.trust.open import trusted

from .arrays import FloatArray
from .errors import AudioError, ConfigError, DeviceError


class Transcriber:
    """A loaded model with its tokenizer; it holds no audio, and any number of sessions may share it.

    `Transcriber.open("out/tiny/4bit").transcribe("talk.flac").text`
    """

    def __init__(self, model: VoxtralRealtime, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def open(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        registry: Path | None = None,
        verify: bool | str | Path = False,
        lock: str | Path | None = None,
    ) -> "Transcriber":
        """Find and load a folder, or a repository: `owner/name[@REVISION]` of the Hub, `registry:NAME[@TAG]`.

        `revision`: a tag, branch or commit, instead of the one after the @.
        `registry`: the folder of a local registry, in which alone a repository is looked for.
        `verify`: True checks every file's hash against the manifest before anything is loaded; the path of a
        public key also checks that the files are signed with its private key.
        `lock`: a voxrun.lock; only the artifact that it pins is loaded, and it is verified.

        Raises ModelError if there is no such model, ConfigError or WeightsError if it cannot be loaded,
        TrustError if a check fails, and TypeError if `verify` is neither a bool nor a path.
        """
        return cls.load(trusted(model, revision, registry, verify, lock))

    @classmethod
    def load(cls, folder: Path) -> "Transcriber":
        """Load a folder by its path, whatever its name; nothing is located, downloaded or verified.

        Raises ConfigError, WeightsError.
        """
        loaded, tokenizer = load_model(folder), Tokenizer(folder)
        if tokenizer.size != loaded.config.vocab_size:
            raise ConfigError(
                f"{folder}: {TOKENIZER_FILE} has {tokenizer.size} tokens, the model"
                f" {loaded.config.vocab_size}; they do not belong together"
            )
        return cls(loaded, tokenizer)

    @property
    def rate(self) -> int:
        """Sampling rate in Hz of the audio that sessions take (16000 upstream)."""
        return self.model.config.audio.sampling_rate

    def session(self, **options: Any) -> Session:
        """A new stream of audio; the options are those of `Session`. Raises VoxrunError."""
        return Session(self.model, self.tokenizer, **options)

    def transcribe(
        self,
        path: str | Path,
        progress: Callable[[float, str], None] | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribe a recording of any format and rate; channels are averaged.

        `progress` is called with the seconds transcribed so far and the new text; the options are those of
        `Session`. Raises AudioError if the file cannot be read, VoxrunError for an impossible option.
        """
        source, results = FileSource(path, self.rate), []
        for result in listen(self.session(**options), source):
            if progress is not None:
                progress(source.heard, result.text)
            results.append(result)
        return Transcript.of(results, source.heard)


def listen(session: Session, source: Iterable[FloatArray]) -> Iterator[Result]:
    """Feed a source's blocks to a session: a result for each block, and one for the end.

    An empty block is a pause: it flushes the session. If the source fails, the session is finished first, so
    that what was heard by then is not lost. Raises AudioError, DeviceError.
    """
    try:
        for block in source:
            yield session.feed(block) if len(block) else session.flush()
    except (AudioError, DeviceError):
        yield session.finish()
        raise
    yield session.finish()

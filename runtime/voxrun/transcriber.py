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
    """`Transcriber.open("out/tiny/4bit").transcribe("talk.flac").text`"""

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

        With `registry`, a folder, repositories are those of that local registry.

        `verify` checks all files first; if it is the path of a public key, also that they are signed with
        its other half. `lock` is a voxrun.lock: nothing else than what it pins is loaded. Raises ModelError,
        ConfigError, WeightsError, TrustError, and TypeError if `verify` is neither bool nor path.
        """
        return cls.load(trusted(model, revision, registry, verify, lock))

    @classmethod
    def load(cls, folder: Path) -> "Transcriber":
        """Load this very folder, whatever it is called; nothing is located, fetched or checked.

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

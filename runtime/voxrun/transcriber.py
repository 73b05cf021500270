"""A loaded model with its tokenizer: open it from a folder, the Hub or a registry, start sessions."""

from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from voxrun import habits
from voxrun.audio.choice import Choice, Raw
from voxrun.audio.source import Source
from voxrun.checkpoint.layout import TOKENIZER_FILE
from voxrun.model.load import load_model
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.stream.results import Result, Transcript
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.tuning import tuning
from voxrun.trust.open import trusted

from .arrays import FloatArray
from .collector import paused
from .errors import AudioError, ConfigError, DeviceError, VoxrunError
from .mlx_thread import computed

if TYPE_CHECKING:
    from voxrun.audio.opened import Audio

OPTIONS = [name for name, each in signature(Session).parameters.items() if each.kind == each.KEYWORD_ONLY]
"""Of a session."""


class Transcriber:
    """A loaded model with its tokenizer; it holds no audio, and any number of sessions may share it.

    `Transcriber.open("out/tiny/4bit").transcribe("talk.flac").text`

    All threads may use it and its sessions at the same time: see `voxrun.mlx_thread`.
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
    def load(cls, folder: str | Path, tokenizer: Tokenizer | None = None) -> "Transcriber":
        """Load a folder by its path, whatever its name; nothing is located, downloaded or verified.

        `tokenizer`: the folder's own, if it has been read before. Raises ConfigError, WeightsError, and
        VoxrunError for a tuning that cannot be used.
        """
        folder = Path(folder)
        with paused():
            loaded, tokenizer = computed(load_model, folder), tokenizer or Tokenizer(folder)
            if tuning().compiled:
                loaded.compile_steps()
        if tokenizer.size != loaded.config.vocab_size:
            raise ConfigError(
                f"{folder}: {TOKENIZER_FILE} has {tokenizer.size} tokens, the model"
                f" {loaded.config.vocab_size}; they do not belong together"
            )
        return cls(loaded, tokenizer)

    def __reduce__(self) -> NoReturn:
        """Raises VoxrunError: a model is neither copied nor sent to another process."""
        raise VoxrunError("a Transcriber cannot be sent to another process: open the model there")

    @property
    def rate(self) -> int:
        """Sampling rate in Hz of the audio that sessions take (16000 upstream)."""
        return self.model.config.audio.sampling_rate

    def session(self, **options: Any) -> Session:
        """A new stream of audio; the options are those of `Session`. Raises VoxrunError."""
        _check_names(options)
        return Session(self.model, self.tokenizer, **options)

    def transcribe(
        self,
        audio: "Audio",
        progress: Callable[[float, str], None] | None = None,
        *,
        rate: float | None = None,
        track: int | None = None,
        channel: int | None = None,
        raw: str | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribe a recording: a path, bytes, a binary file object, or samples in NumPy arrays.

        `progress` is called with the seconds transcribed so far and the new text.
        `rate`: samples a second of arrays, which are [n] or [n, channels], of integers or floats.
        `track`, `channel`: which to hear, counted from 1; without them, the first track and all its channels,
        averaged.
        `raw`: how to read samples without a header, such as s16le:16000 (`voxrun.audio.choice`).
        The options are those of `Session`.

        Raises AudioError if the audio cannot be read, VoxrunError for an impossible option.
        """
        source, results = self._open_audio(audio, rate, track, channel, raw), []
        for result in self._results(source, options):
            if progress is not None:
                progress(source.heard, result.text)
            results.append(result)
        return Transcript.of(results, source.heard)

    def stream(
        self,
        source: "Audio",
        *,
        rate: float | None = None,
        track: int | None = None,
        channel: int | None = None,
        raw: str | None = None,
        **options: Any,
    ) -> Iterator[Result]:
        """The results of audio as they come; takes the same audio and options as `transcribe`.

        Arrays from an iterable are live audio: the option `live` is True if it is not given, and an empty
        array is a pause, in which the words that are behind the delay come out.

        Raises AudioError, VoxrunError as `transcribe` does: at once if the source cannot be opened, while
        iterating if it fails later, after the words that were heard until then.
        """
        return self._results(self._open_audio(source, rate, track, channel, raw), options)

    def _open_audio(
        self, audio: "Audio", rate: float | None, track: int | None, channel: int | None, raw: str | None
    ) -> Source:
        from voxrun.audio.opened import open_audio  # which the command does not need

        choice = Choice(track, channel, None if raw is None else Raw.parse(raw))
        return open_audio(audio, self.rate, sample_rate=rate, choice=choice)

    def _results(self, source: Source, options: dict[str, Any]) -> Iterator[Result]:
        return listen(self.session(**{"live": source.live, **options}), source)


def _check_names(options: Iterable[str]) -> None:
    """Raises VoxrunError for an option that a session does not have."""
    for name in options:
        if name not in OPTIONS:
            advice = habits.advice(name)
            if advice is None or "--" in advice:  # which is for the command line
                advice = f"there is no such option; these are: {', '.join(OPTIONS)}"
            raise VoxrunError(f"{name}: {advice}")


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

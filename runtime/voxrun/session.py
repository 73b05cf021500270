"""One stream of audio, from samples to text: files, pipes and microphones all go through here."""

import math
from dataclasses import dataclass, field

import numpy as np

from .device import mx
from .errors import VoxrunError
from .mel import FloatArray, LogMel
from .model import VoxtralRealtime
from .schedule import Schedule
from .tokenizer import TextDecoder, Tokenizer

BLOCK_POSITIONS = 64
"""Positions encoded at a time at most: bounds memory however much is fed at once, and keeps what attention
computes only to mask it small beside the window."""


@dataclass
class Transcript:
    """What was heard."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    """Every generated token, control tokens too: one for each position after the prompt."""
    seconds: float = 0.0
    """Audio that was fed."""


class Listener:
    """Samples to audio embeddings: log-mel, encoder and adapter, with the state between chunks."""

    def __init__(self, model: VoxtralRealtime) -> None:
        self._model = model
        self._mel = LogMel(model.config.audio)
        self._state = model.encoder_state()
        self._frames = np.zeros((0, model.config.audio.num_mel_bins), np.float32)

    @property
    def look_ahead(self) -> int:
        """Samples after a position's own that its last mel frame needs."""
        return self._mel.look_ahead

    def feed(self, samples: FloatArray) -> list[mx.array]:
        """Samples [n] -> embeddings of the positions now complete, in blocks [1, positions, dim]."""
        per_position = self._model.config.mel_per_position
        self._frames = np.concatenate([self._frames, self._mel.feed(samples)])
        blocks = []
        while (positions := len(self._frames) // per_position) > 0:
            take = min(positions, BLOCK_POSITIONS) * per_position
            block, self._frames = self._frames[:take], self._frames[take:]
            blocks.append(self._model.encode(mx.array(block), self._state))
        return blocks


class Session:
    """feed / flush / finish. Pure of input and output; any chunking gives the same tokens."""

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        *,
        delay_ms: float | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        live: bool = False,
    ) -> None:
        """`live`: an end-of-stream token is a pause; otherwise it ends the transcript (step 9).

        Raises VoxrunError for a delay that the model does not know, or an impossible temperature.
        """
        if not 0 <= temperature < math.inf:
            raise VoxrunError(
                f"a temperature of {temperature:g} is not possible: 0 is greedy, 1 as the model is"
            )
        self._model, self._tokenizer = model, tokenizer
        self._schedule = Schedule.for_delay(model.config.audio, tokenizer, delay_ms)
        self._temperature, self._live = temperature, live
        self._random = mx.random.key(seed)
        self._listener = Listener(model)
        self._gains = model.gains(self._schedule.n_delay)
        self._caches = model.decoder_caches()
        self._waiting: list[mx.array] = []  # embeddings of a prompt not yet complete
        self._token: int | None = None  # the last one generated; None until the prompt is through
        self._text = TextDecoder(tokenizer)
        self._heard = Transcript()
        self._audio = self._fed = 0  # samples: the caller's, and with the silence of flushes
        self._limit: int | None = None  # tokens in all, once the end is known
        self._ended = False
        self._decode_all(self._silence(self._schedule.left_samples))

    def feed(self, samples: FloatArray) -> str:
        """Take mono float samples [n] at the model's rate; return the text that they completed.

        Samples that are not finite count as silence: one of them would mute the stream for good.
        Raises VoxrunError for anything but such an array, and after `finish`.
        """
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise VoxrunError(f"a session takes mono floats, not {samples.ndim}-d {samples.dtype}")
        if self._limit is not None:
            raise VoxrunError("the session is finished; start another")
        self._audio += len(samples)
        return self._hear(np.nan_to_num(samples.astype(np.float32), posinf=0.0, neginf=0.0))

    def flush(self) -> str:
        """Bring out what is still behind the delay by feeding silence; the stream may go on after it."""
        return self._hear(np.zeros(self._schedule.right_samples(self._fed), np.float32))

    def finish(self) -> Transcript:
        """End the stream: the last words come out, and the whole transcript is returned."""
        if self._limit is None:
            self._limit = self._schedule.n_tokens(self._fed)
            right = self._schedule.right_samples(self._fed) + self._listener.look_ahead
            self._decode_all(self._silence(right))
            self._heard.text += self._text.finish()
            self._heard.seconds = self._audio / self._model.config.audio.sampling_rate
        return self._heard

    @property
    def text(self) -> str:
        """Everything heard so far."""
        return self._heard.text

    def _hear(self, samples: FloatArray) -> str:
        self._fed += len(samples)
        step = BLOCK_POSITIONS * self._schedule.samples_per_position
        before = len(self._heard.text)
        for start in range(0, len(samples), step):
            if self._ended:
                break
            self._decode_all(self._listener.feed(samples[start : start + step]))
        return self._heard.text[before:]

    def _silence(self, n: int) -> list[mx.array]:
        return self._listener.feed(np.zeros(n, np.float32))

    def _decode_all(self, blocks: list[mx.array]) -> None:
        for block in blocks:
            self._decode(self._prefill(block) if self._token is None else block)

    def _prefill(self, block: mx.array) -> mx.array:
        """Collect embeddings until they cover the prompt, run it, and return those after it."""
        self._waiting.append(block)
        length = self._schedule.prompt_length
        if sum(part.shape[1] for part in self._waiting) < length:
            return block[:, :0]
        block = mx.concatenate(self._waiting, axis=1)
        self._waiting.clear()
        self._advance(self._schedule.prompt(self._tokenizer), block[:, :length])
        return block[:, length:]

    def _decode(self, block: mx.array) -> None:
        for position in range(block.shape[1]):
            if self._ended or len(self._heard.tokens) == self._limit:
                break
            assert self._token is not None
            self._advance([self._token], block[:, position : position + 1])

    def _advance(self, tokens: list[int], audio: mx.array) -> None:
        hidden = self._model.decode(mx.array(tokens), audio, self._gains, self._caches)
        logits = self._model.language_model.logits(hidden[:, -1:])
        self._accept(self._pick(logits[0, 0]))

    def _pick(self, logits: mx.array) -> int:
        """Logits [vocabulary] -> a token: the likeliest, or one drawn at the session's temperature."""
        if self._temperature == 0:
            return _id(mx.argmax(logits))
        self._random, key = mx.random.split(self._random)
        return _id(mx.random.categorical(logits / self._temperature, key=key))

    def _accept(self, token: int) -> None:
        self._heard.tokens.append(token)
        self._heard.text += self._text.feed(token)
        ends = token == self._tokenizer.eos
        self._ended = ends and not self._live
        self._token = self._tokenizer.pad if ends else token


def _id(token: mx.array) -> int:
    value = token.item()
    assert isinstance(value, int)
    return value

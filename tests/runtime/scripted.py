"""A model that says what it is told to: what remains is the session's own work."""

from types import SimpleNamespace
from typing import Any

from small_models import small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.device import mx

VOCABULARY = 1024


class ScriptedModel:
    """Says the tokens of `script`, then `rest` for ever; remembers its inputs."""

    def __init__(self, script: list[int], rest: int = 32) -> None:
        self.config = ModelConfig.from_dict(small_params())
        self.dtype = mx.float32
        self.language_model = SimpleNamespace(logits=self._logits)
        self.history: list[int] = []
        """The input of each position, without those taken back."""
        self.prompt_length = 0
        self._script, self._rest = script, rest

    @property
    def positions(self) -> int:
        return len(self.history)

    @property
    def inputs(self) -> list[int]:
        """Those after the prompt."""
        return self.history[self.prompt_length :]

    def encoder_state(self) -> None:
        return None

    def encode(self, mel: mx.array, state: None) -> mx.array:
        """[1, positions, 4]"""
        return mx.zeros((1, mel.shape[0] // self.config.mel_per_position, 4))

    def encode_all(self, mels: list[mx.array], states: list[None]) -> list[mx.array]:
        return [self.encode(mel, state) for mel, state in zip(mels, states, strict=True)]

    def gains(self, n_delay: int) -> None:
        return None

    def decoder_caches(self) -> list[Any]:
        return [self]

    def rewind(self, n: int) -> None:
        del self.history[len(self.history) - n :]

    def decode_all(self, streams: list[Any]) -> mx.array:
        (rows,) = streams
        return self.decode(mx.array(rows.tokens), rows.audio, rows.gains, rows.caches)

    def decode(self, tokens: mx.array, audio: mx.array, gains: None, caches: Any) -> mx.array:
        assert tokens.shape[0] == audio.shape[1]
        self.prompt_length = self.prompt_length or tokens.shape[0]
        self.history += tokens.tolist()
        return audio

    def _logits(self, hidden: mx.array) -> mx.array:
        first = self.positions - hidden.shape[1] - self.prompt_length + 1
        said = [self._said(first + row) for row in range(hidden.shape[1])]
        return (mx.arange(VOCABULARY) == mx.array(said)[:, None]).astype(mx.float32)[None]

    def _said(self, index: int) -> int:
        return self._script[index] if index < len(self._script) else self._rest

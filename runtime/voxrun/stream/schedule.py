"""Positions, prompt and padding, which follow from the delay (contract steps 2, 9 and 10)."""

from dataclasses import dataclass

from voxrun.checkpoint.config import AudioConfig
from voxrun.errors import VoxrunError

from .tokenizer import Tokenizer

SPARE_POSITIONS = 11
"""Positions of silence at the end, after those of the delay, in which the last word is written."""
KNOWN_DELAYS = (*range(1, 16), 30)
"""Delays in positions that the model was trained for: every 80 ms up to 1200, and 2400."""


@dataclass(frozen=True)
class Schedule:
    """The stream's layout: silence, audio, silence; the prompt covers its beginning."""

    n_left: int
    n_delay: int
    samples_per_position: int

    @classmethod
    def for_delay(cls, audio: AudioConfig, tokenizer: Tokenizer, delay_ms: float | None) -> "Schedule":
        """The schedule of a delay in milliseconds (None: the tokenizer's). Raises VoxrunError."""
        position = 1000 / audio.frame_rate
        wanted = tokenizer.default_delay_ms if delay_ms is None else delay_ms
        if wanted / position not in KNOWN_DELAYS:
            raise VoxrunError(
                f"a delay of {wanted:g} ms is not possible: it must be a multiple of {position:g}"
                f" from {position:g} to {15 * position:g}, or {30 * position:g}"
            )
        return cls(tokenizer.n_left_pad, int(wanted / position), audio.samples_per_position)

    @property
    def prompt_length(self) -> int:
        """Positions of the prompt: BOS, and a pad for each position of silence and of delay."""
        return 1 + self.n_left + self.n_delay

    def prompt(self, tokenizer: Tokenizer) -> list[int]:
        """The prompt's tokens [prompt_length]."""
        return [tokenizer.bos] + [tokenizer.pad] * (self.prompt_length - 1)

    @property
    def left_samples(self) -> int:
        """Samples of silence before the audio."""
        return self.n_left * self.samples_per_position

    def right_samples(self, n: int) -> int:
        """Samples of silence after n samples of audio: up to a whole position, then delay and spare."""
        return -n % self.samples_per_position + self._right * self.samples_per_position

    def n_tokens(self, n: int) -> int:
        """Tokens for n samples of audio: one for each position after the prompt."""
        return self.n_left + -(-n // self.samples_per_position) + self._right - self.prompt_length

    @property
    def _right(self) -> int:
        return self.n_delay + SPARE_POSITIONS

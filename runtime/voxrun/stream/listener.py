"""Samples to audio embeddings: log-mel, encoder and adapter, with their state between chunks."""

from copy import copy
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.model.voxtral import VoxtralRealtime

from .mel import LogMel
from .tuning import tuning


class Listener:
    """The encoder's side of one stream."""

    def __init__(self, model: VoxtralRealtime) -> None:
        self._model = model
        self._mel = LogMel(model.config.audio)
        self.state = model.encoder_state()
        """The encoder's, which each pass continues."""
        self._frames: FloatArray = np.zeros((0, model.config.audio.num_mel_bins), np.float32)

    def copy(self) -> "Listener":
        """The same state, to go on with independently."""
        twin = copy(self)  # what is left of samples and frames is replaced, never written to
        twin._mel, twin.state = copy(self._mel), self.state.copy()
        return twin

    @property
    def look_ahead(self) -> int:
        """Samples that a position's last mel frame needs beyond the position's own."""
        return self._mel.look_ahead

    def positions(self, samples: int) -> int:
        """Positions that are complete after so many samples of the stream."""
        return self._mel.frames(samples) // self._model.config.mel_per_position

    def frames(self, samples: FloatArray) -> FloatArray:
        """Samples [n] -> the mel frames [frames, bins] of the positions that are now complete."""
        frames: FloatArray = np.concatenate([self._frames, self._mel.feed(samples)])
        whole = len(frames) // self._model.config.mel_per_position * self._model.config.mel_per_position
        self._frames = frames[whole:]
        return frames[:whole]

    def feed(self, samples: FloatArray) -> list[Any]:
        """Samples [n] -> embeddings of the positions that are now complete, in blocks [1, positions, dim]."""
        frames, step = self.frames(samples), tuning().block_positions * self._model.config.mel_per_position
        blocks = (frames[first : first + step] for first in range(0, len(frames), step))
        return [self._model.encode(block, self.state) for block in blocks]

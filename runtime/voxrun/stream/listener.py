"""Samples to audio embeddings: log-mel, encoder and adapter, with their state between chunks."""

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime

from .mel import LogMel

BLOCK_POSITIONS = 64
"""Positions encoded at a time, at most: bounds memory for any chunk, and the scores that attention computes
only to mask them."""


class Listener:
    """Encodes one stream."""

    def __init__(self, model: VoxtralRealtime) -> None:
        self._model = model
        self._mel = LogMel(model.config.audio)
        self._state = model.encoder_state()
        self._frames = np.zeros((0, model.config.audio.num_mel_bins), np.float32)

    @property
    def look_ahead(self) -> int:
        """Samples that a position's last mel frame needs beyond the position's own."""
        return self._mel.look_ahead

    def feed(self, samples: FloatArray) -> list[mx.array]:
        """Samples [n] -> embeddings of the positions that are now complete, in blocks [1, positions, dim]."""
        per_position = self._model.config.mel_per_position
        self._frames = np.concatenate([self._frames, self._mel.feed(samples)])
        blocks = []
        while (positions := len(self._frames) // per_position) > 0:
            take = min(positions, BLOCK_POSITIONS) * per_position
            block, self._frames = self._frames[:take], self._frames[take:]
            blocks.append(self._model.encode(mx.array(block), self._state))
        return blocks
